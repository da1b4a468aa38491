"""Takes secrets out of text, also where they stand escaped or encoded. Never learns a secret by itself."""

import base64
import json
import re
from collections.abc import Collection, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"

SHORTEST = 4
"""Shorter values are no secrets: to mask them would blot out ordinary words."""

SHORTEST_PART = 8
"""The shortest line of a secret, and the shortest piece of its base64 form, that is masked alone."""


def mask(text: str, secrets: Collection[str]) -> str:
    """The text with every secret of at least four characters replaced by `***`.

    Its JSON-escaped, URL-encoded and base64 forms are masked too, the latter also inside a longer encoded text.
    """
    forms = _forms(secrets)
    return re.sub("|".join(map(re.escape, forms)), MASK, text) if forms else text


class Masking:
    """Masks a stream of bytes in which a secret may be split over two reads."""

    def __init__(self, secrets: Collection[str]) -> None:
        """Remember the forms of the secrets; nothing is held back yet."""
        forms = sorted((_encoded(form) for form in _forms(secrets)), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, forms))) if forms else None
        self._hold = len(forms[0]) - 1 if forms else 0
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that are certain by now. The last few stay until more are there or `finish` is called."""
        self._held += chunk
        return self._release(len(self._held) - self._hold)

    def finish(self) -> bytes:
        """What was held back."""
        return self._release(len(self._held))

    def _release(self, end: int) -> bytes:
        """Everything before `end`, and the whole of a secret that starts before it."""
        if end <= 0:
            return b""
        pieces: list[bytes] = []
        position = 0
        for found in self._pattern.finditer(self._held) if self._pattern else ():
            if found.start() >= end:
                break
            pieces += [self._held[position : found.start()], MASK.encode()]
            position = found.end()
        end = max(end, position)
        pieces.append(self._held[position:end])
        self._held = self._held[end:]
        return b"".join(pieces)


class Blot:
    """Replaces secrets in bytes by as many stars, so that every other byte keeps its place."""

    def __init__(self, secrets: Collection[str]) -> None:
        """Remember the forms of the secrets; `longest` is the length of the longest of them in bytes."""
        self._forms = sorted((_encoded(form) for form in _forms(secrets)), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))
        self.longest = len(self._forms[0]) if self._forms else 0

    def out(self, data: bytes) -> bytes:
        """The bytes without the secrets that stand in them whole, exactly as many."""
        # the pattern takes ten times as long as a search for each form, and nearly always there is none
        if not any(form in data for form in self._forms):
            return data
        return self._pattern.sub(lambda found: b"*" * len(found[0]), data)


def _encoded(form: str) -> bytes:
    return form.encode("utf-8", "surrogateescape")


def _forms(secrets: Collection[str]) -> list[str]:
    """Every spelling to look for, longest first."""
    found = {form for secret in secrets if len(secret) >= SHORTEST for form in _spellings(secret)}
    return sorted(found, key=lambda form: (-len(form), form))


def _spellings(secret: str) -> Iterator[str]:
    parts = [secret, *(line for line in secret.splitlines() if len(line) >= SHORTEST_PART)]
    for part in parts:
        yield part
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        for quoted in (quote(part, safe="", errors="replace"), quote_plus(part, errors="replace")):
            yield quoted
            yield re.sub("%[0-9A-F]{2}", lambda code: code.group().lower(), quoted)
    yield from _base64(secret.encode("utf-8", "replace"))


def _base64(secret: bytes) -> Iterator[str]:
    """The base64 form alone, and what is certain of it at each of the three places inside a longer text."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode()
        for before in range(3):
            bits = 8 * (before + len(secret))
            certain = encode(bytes(before) + secret).decode()[-(-8 * before // 6) : bits // 6]
            if len(certain) >= SHORTEST_PART:
                yield certain
