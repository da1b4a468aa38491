"""Tells whether a webhook was signed by somebody who knows one of its secrets. Pure.

It never takes SHA-1, an empty signature or an empty secret for an answer, and never says which of them was wrong.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping

PREFIXES: Mapping[str, str] = {
    "X-Forgejo-Signature": "",
    "X-Gitea-Signature": "",
    "X-Gogs-Signature": "",
    "X-Hub-Signature-256": "sha256=",
}
"""The headers that carry an HMAC-SHA256 in lower-case hex, and what stands before it."""


def verify(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> bool:
    """Whether any of the headers signs exactly these bytes with any of the secrets. Names in any case.

    It takes the same time whichever header or secret fits.
    """
    prefixes = {name.lower(): prefix for name, prefix in PREFIXES.items()}
    given = [
        value.removeprefix(prefix).encode(errors="replace")
        for name, value in headers.items()
        if (prefix := prefixes.get(name.lower())) is not None and value.startswith(prefix)
    ]
    good = False
    for secret in secrets:
        if secret:
            wanted = hmac.new(secret.encode(errors="surrogateescape"), body, hashlib.sha256).hexdigest().encode()
            for one in given:
                good |= hmac.compare_digest(one, wanted)
    return good
