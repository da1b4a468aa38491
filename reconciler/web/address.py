"""An address to listen on, as people write it: `127.0.0.1:8732`, `[::1]:8732`, `:8732`.

It looks up no name and opens nothing.
"""

import re
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
MOST = 65535

_FORM = re.compile(r"(?P<host>[^\s:\[\]/@]*|\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]):(?P<port>[0-9]{1,5})")


class BadAddress(Exception):
    """This is no address to listen on; the message says what one looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host by name or number, and a TCP port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        """As people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """The address that a text means; without a host it is this machine alone. Raises BadAddress."""
    found = _FORM.fullmatch(text)
    if found is None or int(found["port"]) > MOST:
        raise BadAddress(f"{text!r} is no address to listen on; write one like 127.0.0.1:8732, :8732 or [::1]:8732")
    return Address(host=found["v6"] or found["host"] or LOOPBACK, port=int(found["port"]))
