"""Calls the program's web application in its own process, as a server would.

It knows no path and judges no answer.
"""

import io
import json
from collections.abc import Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication


def call(app: WSGIApplication, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """POST a JSON body; status and JSON of the answer."""
    status: list[str] = []

    def start(line: str, _: list[tuple[str, str]], __: object = None) -> object:
        status.append(line)
        return None

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8732",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "HTTP_HOST": "127.0.0.1:8732",
    }
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    starting: StartResponse = start  # type: ignore[assignment]
    content = b"".join(app(environ, starting))
    said = json.loads(content) if content else {}
    return int(status[0].partition(" ")[0]), said if isinstance(said, dict) else {}
