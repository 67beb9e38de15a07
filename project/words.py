"""Quantities as people write them."""

from __future__ import annotations

import re

UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
MINUTE, HOUR, DAY = 60, 3600, 86400
# What stands before the name of an API key where somebody is named.
API_KEY = "the API key "
# Characters that break a line, take no room, or turn what stands around them the other way.
UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
# Each stands for a byte that is no text: see disks/entries.py.
BYTES = re.compile("[\uef80-\uefff]")


def size(count: float) -> str:
    """Write a number of bytes in steps of 1024, such as `4.8 KB`."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count /= 1024
        unit += 1
    if unit == 0:
        return f"{count:.0f} B"
    return f"{count:.1f} {UNITS[unit]}" if count < 10 else f"{count:.0f} {UNITS[unit]}"


def duration(seconds: float) -> str:
    """Write a time span with its two largest units, such as `4 m 12 s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} m {whole % MINUTE:02} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02} m"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def span(seconds: int) -> str:
    """Write a time span that somebody chose, such as `8 hours`."""
    if seconds % HOUR == 0:
        return plural(seconds // HOUR, "hour")
    if seconds % MINUTE == 0:
        return plural(seconds // MINUTE, "minute")
    return duration(seconds)


def ago(seconds: float) -> str:
    """Write how long ago something was, with one unit, such as `6 min`."""
    if seconds < 10:
        return "just now"
    if seconds < MINUTE:
        return f"{int(seconds)} s ago"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min ago"
    if seconds < 2 * DAY:
        return f"{int(seconds // HOUR)} h ago"
    return f"{int(seconds // DAY)} d ago"


def is_whole(text: str) -> bool:
    """Can it be written as UTF-8? JSON can hold half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def seen(text: str) -> str:
    """Write what cannot be seen, and would garble what stands around it, as such as `\\u202e`.

    static/js/names.js does the same.
    """
    text = BYTES.sub("\ufffd", text)
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def person(name: str) -> str:
    """Name somebody where there is no room for an icon, such as `API key nightly`."""
    return name.removeprefix("the ") if name.startswith(API_KEY) else name


def plural(count: int, one: str, many: str = "") -> str:
    """Write a count of things, such as `3 files`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
