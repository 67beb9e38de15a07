"""The text of an artifact, as the API shows it: {"type": json|csv|code|text, "raw": text}."""

from __future__ import annotations

from typing import Literal

from ninja import Schema

from disks.media import ending_of, is_csv, is_json

CODE = frozenset(
    [
        "go",
        "py",
        "js",
        "ts",
        "tsx",
        "jsx",
        "java",
        "cpp",
        "c",
        "h",
        "hpp",
        "cs",
        "php",
        "rb",
        "rs",
        "swift",
        "kt",
        "scala",
        "sh",
        "bash",
        "zsh",
        "sql",
        "r",
        "m",
        "pl",
        "lua",
        "vim",
        "dockerfile",
        "makefile",
        "cmake",
        "proto",
        "thrift",
        "graphql",
        "gql",
        "vue",
        "svelte",
        "astro",
    ]
)
TEXT = frozenset(
    [
        "txt",
        "md",
        "markdown",
        "log",
        "yml",
        "yaml",
        "xml",
        "html",
        "htm",
        "jsonl",
        "ndjson",
        "toml",
        "ini",
        "cfg",
        "conf",
        "ipynb",
        "svg",
    ]
)
TEXT_MIMES = (
    "text/",
    "application/json",
    "application/xml",
    "application/x-yaml",
    "application/x-ndjson",
    "image/svg+xml",
)
CODE_MIMES = ("text/x-", "text/javascript", "text/typescript")
NO_CODE = ("text/x-ini", "text/x-toml")

Kind = Literal["json", "csv", "code", "text"]


class Content(Schema):
    type: Kind
    raw: str


def is_readable(filename: str, mime: str) -> bool:
    """Tell whether an artifact has a text."""
    return mime.startswith(TEXT_MIMES) or ending_of(filename) in CODE | TEXT | {"json", "csv"}


def text_of(data: bytes, mime: str) -> str:
    """Decode a text as its MIME type says; what cannot be decoded becomes U+FFFD."""
    _, _, charset = mime.partition("charset=")
    try:
        return data.decode(charset or "utf-8", errors="replace")
    except LookupError:
        return data.decode(errors="replace")


def parse(filename: str, mime: str, data: bytes) -> Content | None:
    """Return the content of an artifact; None for what has no text."""
    if not is_readable(filename, mime):
        return None
    raw = text_of(data, mime)
    return Content(type=_kind_of(filename, mime, raw), raw=raw)


def _kind_of(filename: str, mime: str, raw: str) -> Kind:
    ending = ending_of(filename)
    if ending == "json" or mime.startswith("application/json"):
        return "json" if is_json(raw) else "text"
    if ending == "csv" or mime.startswith("text/csv"):
        return "csv" if is_csv(raw) else "text"
    if ending in CODE or (mime.startswith(CODE_MIMES) and not mime.startswith(NO_CODE)):
        return "code"
    return "text"
