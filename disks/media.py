"""What kind of file some bytes are, in the words that upstream's clients know.

The content decides; for text, the ending of the name makes it more precise. What the uploader
says it is counts for nothing.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import mimetypes
from pathlib import PurePosixPath

import puremagic

# So much of a file's start is looked at.
HEAD_BYTES = 64 * 1024
UNKNOWN = "application/octet-stream"
# What browsers draw by themselves, and what they draw that may hold scripts too.
PICTURES = frozenset(
    f"image/{kind}"
    for kind in (
        *("png", "jpeg", "gif", "webp", "avif", "bmp", "x-ms-bmp"),
        *("vnd.microsoft.icon", "x-icon"),
    )
)
SVG = "image/svg+xml"
PDF = "application/pdf"
MARKUP_BYTES = 512

TEXT_TYPES = {
    **dict.fromkeys(("md", "markdown"), "text/markdown"),
    **dict.fromkeys(("yaml", "yml"), "text/yaml"),
    "csv": "text/csv",
    "json": "application/json",
    "xml": "application/xml",
    **dict.fromkeys(("html", "htm"), "text/html"),
    "css": "text/css",
    "js": "text/javascript",
    "ts": "text/typescript",
    "go": "text/x-go",
    "py": "text/x-python",
    "rs": "text/x-rust",
    "rb": "text/x-ruby",
    "java": "text/x-java",
    **dict.fromkeys(("c", "h"), "text/x-c"),
    **dict.fromkeys(("cpp", "hpp"), "text/x-c++"),
    **dict.fromkeys(("sh", "bash"), "text/x-shellscript"),
    "sql": "text/x-sql",
    "toml": "text/x-toml",
    **dict.fromkeys(("ini", "cfg", "conf"), "text/x-ini"),
    **dict.fromkeys(("jsonl", "ndjson"), "application/x-ndjson"),
    "tsv": "text/tab-separated-values",
}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16le",
    codecs.BOM_UTF16_BE: "utf-16be",
}
ZIP = b"PK\x03\x04"
# Text to the eye, but no text.
READABLE_BINARY = (b"%PDF-", b"%!PS")
SHEBANGS = {
    "python": "text/x-python",
    "bash": "text/x-shellscript",
    "/sh": "text/x-shellscript",
    "node": "text/javascript",
    "perl": "text/x-perl",
    "ruby": "text/x-ruby",
}


def ending_of(filename: str) -> str:
    return PurePosixPath(filename).suffix.lower().removeprefix(".")


def detect(head: bytes, filename: str, *, whole: bool) -> str:
    """Return the MIME type of a file from its first HEAD_BYTES; `whole`: there is no more."""
    if not head:
        return TEXT_TYPES.get(ending_of(filename), "text/plain")
    charset = _charset_of(head, whole=whole)
    if charset is None:
        return _binary_type(head, filename)
    encoding = "utf-8-sig" if charset == "utf-8" else charset
    return _text_type(head.decode(encoding, errors="ignore"), filename, charset, whole=whole)


def _charset_of(head: bytes, *, whole: bool) -> str | None:
    """Return how a text is written, None for what is no text."""
    for mark, charset in BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return charset
    if head.startswith(READABLE_BINARY) or any(byte < 9 or 13 < byte < 27 for byte in set(head)):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        # The bytes from 0x80 to 0x9F are control characters in Latin 1: no text has them.
        latin = all(not 0x80 <= byte < 0xA0 for byte in set(head))
        return "iso-8859-1" if latin and not _has_magic(head) else None
    return "utf-8"


def _has_magic(head: bytes) -> bool:
    return bool(_candidates(head))


def _text_type(text: str, filename: str, charset: str, *, whole: bool) -> str:
    ending = ending_of(filename)
    kind = TEXT_TYPES.get(ending)
    if ending in ("jsonl", "ndjson"):
        return str(kind)
    if whole and text.lstrip().startswith(("{", "[")) and is_json(text):
        return "application/json"
    markup = _markup_type(text)
    if markup is not None:
        return markup
    kind = kind or _shebang_type(text)
    if kind is None and whole and is_csv(text, least_columns=2, least_rows=2):
        kind = "text/csv"
    return f"{kind or 'text/plain'}; charset={charset}"


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _markup_type(text: str) -> str | None:
    start = text.lstrip()[:MARKUP_BYTES].lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "text/html; charset=utf-8"
    if start.startswith("<svg") or (start.startswith("<?xml") and "<svg" in start):
        return SVG
    if start.startswith("<?xml"):
        return "text/xml; charset=utf-8"
    return None


def _shebang_type(text: str) -> str | None:
    first, _, _ = text[:200].partition("\n")
    if not first.startswith("#!"):
        return None
    return next((kind for name, kind in SHEBANGS.items() if name in first), None)


def is_csv(text: str, *, least_columns: int = 1, least_rows: int = 1) -> bool:
    """Tell whether a text is a table: as many columns in every row."""
    try:
        widths = [len(row) for row in csv.reader(io.StringIO(text), strict=True) if row]
    except csv.Error:
        return False
    return len(set(widths)) == 1 and widths[0] >= least_columns and len(widths) >= least_rows


def _binary_type(head: bytes, filename: str) -> str:
    guess = mimetypes.guess_type(filename)[0]
    candidates = _candidates(head)
    if guess in candidates:
        return str(guess)
    if head.startswith(ZIP):
        return "application/zip"
    return candidates[0] if candidates else UNKNOWN


def _candidates(head: bytes) -> list[str]:
    """Return the MIME types whose signature fits, the likeliest first."""
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return []
    return [match.mime_type for match in found if match.mime_type]
