"""One JSON object of a forge: what stands under its keys, each read as what it must be.

It knows no forge and no key, and lets nothing through that a YAML file could not hold.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

MOST_NUMBER = 2**53 - 1
"""The largest number that every JSON reader keeps exactly."""

MOST_LINE = 255
MOST_NAME = 1024
MOST_URL = 2048
"""Characters of a line of text, of a name, and of a URL."""

_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_NO_NAME = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_URL = re.compile(r"https?://[!-~\u00a1-\u1fff\u2c00-\ud7ff]+", re.IGNORECASE)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Unreadable(ValueError):
    """What a forge sent has not the shape that it must have; the message is one line and repeats nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """An object under the name `where`, by which errors call it. Everything raises Unreadable and nothing else.

    A null is a key that is missing.
    """

    where: str
    data: dict[str, object]

    def inside(self, key: str) -> "Fields":
        """The object under a key."""
        return fields(self.data.get(key), self._at(key))

    def inside_if_any(self, key: str) -> "Fields | None":
        """The object under a key; `None` where there is none."""
        return None if self.data.get(key) is None else self.inside(key)

    def entries(self, key: str) -> Iterator["Fields"]:
        """The objects of the list under a key, none where it is missing."""
        value = self.data.get(key)
        if value is None:
            return
        if not isinstance(value, list):
            raise Unreadable(f"{self._at(key)} is no list")
        for index, one in enumerate(value):
            yield fields(one, f"{self._at(key)}[{index}]")

    def flag(self, key: str) -> bool | None:
        """True or false; `None` where it is missing."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            raise Unreadable(f"{self._at(key)} is neither true nor false")
        return value

    def number(self, key: str) -> int:
        """A number from 1 up."""
        value = self.number_if_any(key)
        if value is None or value < 1:
            raise Unreadable(f"{self._at(key)} is no number from 1 up")
        return value

    def number_if_any(self, key: str) -> int | None:
        """A whole number, negative ones too; `None` where it is missing."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MOST_NUMBER:
            raise Unreadable(f"{self._at(key)} is no whole number, or a huge one")
        return value

    def prose(self, key: str, most_bytes: int) -> str:
        """Text of several lines, cut at so many bytes of UTF-8; empty where it is missing."""
        return _printable(self._text(key)).encode()[:most_bytes].decode(errors="ignore")

    def ending(self, key: str, most_bytes: int) -> str:
        """The end of such a text, where it is the end that matters."""
        return _printable(self._text(key)).encode()[-most_bytes:].decode(errors="ignore")

    def line(self, key: str, most: int = MOST_LINE) -> str:
        """Text as one line, cut at so many characters; it must be there."""
        if self.data.get(key) is None:
            raise Unreadable(f"{self._at(key)} is missing")
        return " ".join(_printable(self._text(key)).split())[:most].rstrip()

    def name(self, key: str) -> str:
        """Text that names something: never changed, refused where it cannot be a name; empty where it is missing."""
        value = self._text(key)
        if len(value) > MOST_NAME or _NO_NAME.search(value):
            raise Unreadable(f"{self._at(key)} is too long for a name, or holds control characters")
        return value

    def url(self, key: str) -> str:
        """An http or https URL; it must be there."""
        value = self._text(key)
        if len(value) > MOST_URL or not _URL.fullmatch(value):
            raise Unreadable(f"{self._at(key)} is no http or https URL")
        return value

    def moment(self, key: str) -> datetime | None:
        """A time in UTC, in whole seconds; `None` where it is missing or before 1970: that is how Go says never."""
        value = self._text(key)
        if not value:
            return None
        try:
            moment = datetime.fromisoformat(value.upper()) if _MOMENT.fullmatch(value) else None
            found = moment.astimezone(UTC).replace(microsecond=0) if moment else None
        except (ValueError, OverflowError) as error:
            if value.startswith("0001-"):
                return None
            raise Unreadable(f"{self._at(key)} is no time that exists") from error
        if found is None:
            raise Unreadable(f"{self._at(key)} is no time such as 2026-11-22T17:00:00Z")
        return found if found >= _NEVER else None

    def _text(self, key: str) -> str:
        value = self.data.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Unreadable(f"{self._at(key)} is no text")
        return value

    def _at(self, key: str) -> str:
        return f"{self.where}.{key}"


def fields(data: object, where: str) -> Fields:
    """The object that JSON gave, under a name for errors; Unreadable where it is none."""
    if not isinstance(data, dict):
        raise Unreadable(f"{where} is no object")
    return Fields(where=where, data=data)


def _printable(text: str) -> str:
    return _FORBIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
