"""What a page shows of a file: highlighted text, a table, a picture, or the bytes.

Everything here came from people and boxes. What is returned as markup is escaped here; the rest is
plain text, which templates escape.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename, guess_lexer
from pygments.lexers.special import TextLexer
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound

from disks import media
from disks.content import text_of

# A text up to this size is shown whole; of a larger one, the start.
WHOLE_BYTES = 2 * 1024 * 1024
START_BYTES = 256 * 1024
# A browser draws so many lines at once, and on request the others.
FIRST_LINES = 10_000
MOST_LINES = 100_000
# A document of this size has as many elements as a browser draws at once.
DOCUMENT_BYTES = 128 * 1024
# Colours cost about a second for each of these; a hostile text costs far more, so that what is
# not done in time stays plain.
HIGHLIGHT_BYTES = 512 * 1024
HIGHLIGHT_SECONDS = 1.0
# Indented, a small JSON can become a large one.
TIDY_CHARACTERS = 4 * 1024 * 1024
# Work for the processor; more of it at once would only slow everything down.
THREADS = 2
# Lexers are slow on, and no person reads, lines like these.
LONGEST_LINE = 2_000
TABLE_ROWS = 1_000
TABLE_COLUMNS = 100
TABLE_CELLS = 20_000
CELL_CHARACTERS = 500
HEX_BYTES = 4 * 1024
HEX_COLUMNS = 16


# The few colours of the pages, by the kind of token; the first that fits counts.
CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "c"),
    (String, "s"),
    (Number, "n"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Name.Tag, "k"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Decorator, "f"),
    (Name.Attribute, "f"),
    (Name.Builtin, "f"),
    (Literal, "n"),
)


class Kind(StrEnum):
    """How a file is shown."""

    EMPTY = "empty"
    TEXT = "text"
    JSON = "json"
    TABLE = "table"
    MARKDOWN = "markdown"
    IMAGE = "image"
    SVG = "svg"
    PDF = "pdf"
    AUDIO = "audio"
    VIDEO = "video"
    BINARY = "binary"


# These have a source too, which may be looked at instead.
WITH_SOURCE = frozenset({Kind.JSON, Kind.TABLE, Kind.MARKDOWN, Kind.SVG})
TEXTS = frozenset({Kind.EMPTY, Kind.TEXT}) | WITH_SOURCE


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table. Rows are as wide as they are in the file."""

    head: list[str]
    rows: list[list[str]]
    # Are there more rows, or more columns, than these?
    partial: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A file as a page shows it. What does not fit its kind is empty."""

    kind: Kind
    mime: str
    language: str = ""
    # Markup, a line each.
    lines: tuple[SafeString, ...] = ()
    table: Table | None = None
    # Markup, of Markdown.
    html: SafeString | None = None
    # The text as it is, for the editor; None where the file is no text, or not whole here.
    text: str | None = None
    # Of how many bytes is this, if not of all?
    start_bytes: int = 0
    # Are there more lines, to be asked for?
    has_more_lines: bool = False
    # Can the source be looked at instead, or is it the source?
    has_source: bool = False

    @property
    def is_text(self) -> bool:
        return self.kind in TEXTS

    @property
    def has_windows_lines(self) -> bool:
        """Do its lines end with CR and LF?"""
        return "\r" in (self.text or "")

    @property
    def may_be_edited(self) -> bool:
        return self.text is not None


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="viewing")


def bytes_to_read(size: int) -> int:
    """Return how much of a file's start `show` needs."""
    return size if size <= WHOLE_BYTES else START_BYTES


def in_thread(
    filename: str, head: bytes, size: int, *, source: bool, most_lines: int
) -> asyncio.Future[Shown]:
    """Run `show` where it holds nobody up."""
    work = partial(show, filename, head, size, source=source, most_lines=most_lines)
    return asyncio.get_running_loop().run_in_executor(_threads(), work)


def show(
    filename: str,
    head: bytes,
    size: int,
    *,
    source: bool = False,
    most_lines: int = FIRST_LINES,
) -> Shown:
    """Return what to show of a file of `size` bytes that starts with `head`.

    `source`: its text, even where something nicer could be shown. Takes long for large texts.
    """
    whole = len(head) >= size
    sample = head[: media.HEAD_BYTES]
    mime = media.detect(sample, filename, whole=whole and len(sample) == len(head))
    kind = _kind_of(filename, mime, empty=size == 0)
    if kind not in TEXTS:
        return _show_bytes(kind, mime, head, size)
    text = text_of(head, mime)
    start_bytes = 0 if whole else len(head)
    original = text if whole and _is_same(text, head) else None
    if kind in WITH_SOURCE and not source:
        nicer = _nicer(kind, mime, filename, text, start_bytes, original, most_lines)
        if nicer is not None:
            return nicer
    drawn = _first_lines(text, most_lines)
    if drawn != text:
        start_bytes = len(drawn.encode())
    lines, language = highlight(drawn, filename)
    return Shown(
        Kind.EMPTY if size == 0 else Kind.TEXT,
        mime,
        language,
        lines,
        text=original,
        start_bytes=start_bytes,
        has_more_lines=drawn != text and most_lines < MOST_LINES,
        has_source=kind in WITH_SOURCE,
    )


def _first_lines(text: str, most: int) -> str:
    """Return as much of a text as is drawn."""
    rest = text.split("\n", most)[most:]
    return text[: -len(rest[0])] if rest and rest[0] else text


def _is_same(text: str, data: bytes) -> bool:
    """Would an editor, which knows one line end, leave what it does not change as it is?"""
    ends = {text.count("\r\n"), text.count("\r"), text.count("\n")}
    return ("\r" not in text or len(ends) == 1) and text.encode() == data


def _kind_of(filename: str, mime: str, *, empty: bool) -> Kind:
    ending, plain = media.ending_of(filename), mime.partition(";")[0]
    if empty:
        return Kind.EMPTY
    drawn = _drawn_by_browsers(plain)
    if drawn is not None:
        return drawn
    if "charset=" not in mime and not _is_text(plain):
        return Kind.BINARY
    if ending in ("md", "markdown"):
        return Kind.MARKDOWN
    if plain == "application/json":
        return Kind.JSON
    return Kind.TABLE if plain == "text/csv" or ending in ("csv", "tsv") else Kind.TEXT


def _drawn_by_browsers(mime: str) -> Kind | None:
    if mime in media.PICTURES:
        return Kind.IMAGE
    if mime == media.SVG:
        return Kind.SVG
    if mime == media.PDF:
        return Kind.PDF
    if mime.startswith("audio/"):
        return Kind.AUDIO
    return Kind.VIDEO if mime.startswith("video/") else None


def _is_text(mime: str) -> bool:
    return mime.startswith("text/") or mime in (
        "application/json",
        "application/x-ndjson",
        "application/xml",
    )


def _nicer(
    kind: Kind,
    mime: str,
    filename: str,
    text: str,
    start_bytes: int,
    original: str | None,
    most_lines: int,
) -> Shown | None:
    """Return a table, a document, a picture or tidy JSON; None if the text is none."""
    if kind is Kind.SVG:
        return Shown(kind, mime, "SVG", text=original, has_source=True)
    if kind is Kind.MARKDOWN:
        drawn = text[:DOCUMENT_BYTES]
        if drawn != text:
            start_bytes = len(drawn.encode())
        return Shown(
            kind,
            mime,
            "Markdown",
            html=render_markdown(drawn),
            text=original,
            start_bytes=start_bytes,
            has_source=True,
        )
    if kind is Kind.TABLE:
        table = read_table(text, filename, whole=not start_bytes)
        if table is None:
            return None
        return Shown(
            kind,
            mime,
            "Table",
            table=table,
            text=original,
            start_bytes=start_bytes,
            has_source=True,
        )
    tidy = None if start_bytes else tidy_json(text)
    if tidy is None or tidy != _first_lines(tidy, MOST_LINES):
        return None
    drawn = _first_lines(tidy, most_lines)
    lines, _ = highlight(drawn, "tidy.json")
    more = drawn != tidy
    return Shown(kind, mime, "JSON", lines, text=original, has_more_lines=more, has_source=True)


def _show_bytes(kind: Kind, mime: str, head: bytes, size: int) -> Shown:
    if kind is not Kind.BINARY:
        return Shown(kind, mime)
    shown = head[:HEX_BYTES]
    return Shown(
        kind,
        mime,
        lines=tuple(hex_lines(shown)),
        start_bytes=0 if len(shown) == size else len(shown),
    )


def highlight(text: str, filename: str) -> tuple[tuple[SafeString, ...], str]:
    """Return the lines of a text as markup with our classes, and the name of its language."""
    lexer = _lexer_for(filename, text)
    if (
        isinstance(lexer, TextLexer)
        or len(text) > HIGHLIGHT_BYTES
        or any(len(line) > LONGEST_LINE for line in text.split("\n"))
    ):
        return _plain_lines(text), lexer.name
    return _coloured_lines(lexer, text), lexer.name


def _lexer_for(filename: str, text: str) -> Lexer:
    # A lexer that strips would move the lines away from their numbers.
    options = {"stripnl": False, "ensurenl": False}
    try:
        return get_lexer_for_filename(filename, **options)
    except ClassNotFound:
        pass
    if text.startswith("#!"):
        try:
            return guess_lexer(text[:200], **options)
        except ClassNotFound:
            pass
    return TextLexer(**options)


def _plain_lines(text: str) -> tuple[SafeString, ...]:
    return tuple(escape(line) for line in _split(text))


def _split(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _coloured_lines(lexer: Lexer, text: str) -> tuple[SafeString, ...]:
    lines: list[str] = []
    line: list[str] = []
    for css_class, value in _coloured(lexer, text):
        first, *others = value.split("\n")
        line.append(_mark(first, css_class))
        for other in others:
            lines.append("".join(line))
            line = [_mark(other, css_class)]
    if any(line):
        lines.append("".join(line))
    return tuple(mark_safe(each) for each in lines)  # noqa: S308 (escaped by _mark)


def _coloured(lexer: Lexer, text: str) -> Iterator[tuple[str, str]]:
    """Give the pieces of a text, each with its class; from when the time is over, the rest."""
    # As lexers would do it, which tells how far they have come.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    deadline = time.monotonic() + HIGHLIGHT_SECONDS
    position = 0
    for token, value in lexer.get_tokens(text):
        yield _class_of(token), value
        position += len(value)
        if time.monotonic() > deadline:
            yield "", text[position:]
            return


def _class_of(token: _TokenType) -> str:
    return next((css_class for kind, css_class in CLASSES if token in kind), "")


def _mark(text: str, css_class: str) -> str:
    if not text:
        return ""
    return f'<span class="{css_class}">{escape(text)}</span>' if css_class else escape(text)


def read_table(text: str, filename: str, *, whole: bool) -> Table | None:
    """Return the first rows of a table; None for what is none."""
    rows: list[list[str]] = []
    cells = 0
    partial = not whole
    try:
        for row in csv.reader(io.StringIO(text), delimiter=_delimiter_of(text, filename)):
            if len(rows) > TABLE_ROWS or cells > TABLE_CELLS:
                partial = True
                break
            if row:
                cells += min(len(row), TABLE_COLUMNS)
                partial = partial or len(row) > TABLE_COLUMNS
                rows.append([cell[:CELL_CHARACTERS] for cell in row[:TABLE_COLUMNS]])
    except csv.Error:
        return None
    if len(rows) > 1 and not whole:
        # The last one may be cut off.
        rows.pop()
    return Table(rows[0], rows[1 : TABLE_ROWS + 1], partial) if rows else None


def _delimiter_of(text: str, filename: str) -> str:
    if media.ending_of(filename) == "tsv":
        return "\t"
    first, _, _ = text.partition("\n")
    return max(",;\t", key=first.count)


def tidy_json(text: str) -> str | None:
    """Return JSON with a line for each value; None for what is none, or would get too large."""
    tidy = io.StringIO()
    try:
        for piece in json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(json.loads(text)):
            if tidy.tell() + len(piece) > TIDY_CHARACTERS:
                return None
            tidy.write(piece)
    except (ValueError, RecursionError):
        return None
    return tidy.getvalue()


def render_markdown(text: str) -> SafeString:
    """Return a document as markup. What it holds of HTML is shown as text.

    Pictures stay links: a document must not make the reader's browser ask other servers.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    markdown.disable("image")
    tokens = markdown.parse(text)
    for token in tokens:
        # The alignment of a column, which would be an inline style.
        token.attrs.pop("style", None)
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "nofollow noreferrer noopener")
    # The renderer escapes all text, and markdown-it refuses javascript:, vbscript: and data:.
    html: str = markdown.renderer.render(tokens, markdown.options, {})
    return mark_safe(html)  # noqa: S308


def hex_lines(data: bytes) -> Iterator[SafeString]:
    """Return bytes as people read them: offset, hexadecimal, characters."""
    for offset in range(0, len(data), HEX_COLUMNS):
        row = data[offset : offset + HEX_COLUMNS]
        characters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield escape(f"{offset:08x}  {row.hex(' '):<{HEX_COLUMNS * 3}} {characters}")
