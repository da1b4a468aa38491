"""Text of others made fit for a page: nothing in it is invisible, or leads elsewhere than it says. Pure.

It escapes nothing: that is `rendering`'s part, for every text alike.
"""

import re
from urllib.parse import urlsplit

MOST = 4096
"""How much of a text one place of a page shows, unless it says otherwise."""

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
_SHOWN = {
    **_CONTROLS,
    0x0D: None,
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
    **dict.fromkeys(_BIDI, 0xFFFD),
    **dict.fromkeys((0x2028, 0x2029), 0x0A),
    0xFEFF: None,
    0x200B: None,
}
"""Controls as their pictures, orders to turn the line around and halves of characters as what cannot be read."""

_PLAIN_URL = re.compile(r"https?://[!-~]{1,2000}", re.IGNORECASE)


def shown(text: str) -> str:
    """The text with nothing in it that cannot be seen."""
    return text.translate(_SHOWN)


def short(text: str, most: int = MOST) -> str:
    """At most so many characters of it, with dots where it was cut."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def link(url: str | None) -> str | None:
    """The address, if a person may be led there from a page: http or https, a name, nobody's password."""
    if url is None or not _PLAIN_URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return None
    return url if parts.hostname and parts.username is None and parts.password is None else None
