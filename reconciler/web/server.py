"""What the web application asks of the server under it, and what is said where there can be none.

It is no server, and loads none.
"""

from collections.abc import Callable
from typing import Protocol
from wsgiref.types import WSGIApplication

from reconciler.web.address import Address


class CannotListen(Exception):
    """The address that was asked for cannot be listened on; the message says why and what to do."""


class Server(Protocol):
    """A server that listens."""

    @property
    def address(self) -> Address:
        """Where, with the real port."""

    def stop(self) -> None:
        """Answer what is being answered, then nothing more; the port is free when this returns."""


Serve = Callable[[WSGIApplication, Address], Server]
"""Listens at an address and answers by an application, in threads of its own. Raises OSError where it cannot."""
