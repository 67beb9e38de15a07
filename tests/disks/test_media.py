"""What kind of file some bytes are."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disks.content import parse
from disks.media import detect

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 40


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("filename", "data", "mime"),
    [
        ("a.txt", b"hello world", "text/plain; charset=utf-8"),
        ("a.txt", b"", "text/plain"),
        ("a.bin", b'{"a": [1, 2]}', "application/json"),
        ("a.json", b'{"a": ', "application/json; charset=utf-8"),
        ("a.txt", b"a,b\n1,2\n", "text/csv; charset=utf-8"),
        ("a.txt", b"Dear all, hello\nyours\n", "text/plain; charset=utf-8"),
        ("a.md", b"# Title\n", "text/markdown; charset=utf-8"),
        ("a.py", b"print(1)\n", "text/x-python; charset=utf-8"),
        ("run", b"#!/usr/bin/env python3\nprint(1)\n", "text/x-python; charset=utf-8"),
        ("a", b"<!DOCTYPE html><p>", "text/html; charset=utf-8"),
        ("a", b'<?xml version="1.0"?><a/>', "text/xml; charset=utf-8"),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
        ("a.png", PNG, "image/png"),
        ("disguised.txt", PNG, "image/png"),
        ("a.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        ("a.zip", zipped(), "application/zip"),
        ("a.gz", gzip.compress(b"a", mtime=0), "application/x-gzip"),
        ("a.bin", bytes(range(256)), "application/octet-stream"),
        ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', "application/x-ndjson"),
        ("a.tsv", b"a\tb\n", "text/tab-separated-values; charset=utf-8"),
        ("a.txt", "Grüße aus Köln".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        ("a.txt", "Grüße".encode("utf-16"), "text/plain; charset=utf-16le"),
        ("a.yml", b"a: 1\n", "text/yaml; charset=utf-8"),
        ("a.toml", b"a = 1\n", "text/x-toml; charset=utf-8"),
    ],
)
def test_the_content_says_what_a_file_is(filename: str, data: bytes, mime: str) -> None:
    assert detect(data, filename, whole=True) == mime


def test_a_text_whose_head_ends_inside_a_character_is_a_text() -> None:
    head = ("ä" * 40_000).encode()[: 64 * 1024 - 1]
    assert detect(head, "a.txt", whole=False) == "text/plain; charset=utf-8"


@given(st.binary(max_size=300), st.text(max_size=20))
def test_any_bytes_have_a_type(data: bytes, filename: str) -> None:
    assert "/" in detect(data, filename, whole=True)


@pytest.mark.parametrize(
    ("filename", "data", "kind"),
    [
        ("a.json", b'{"a": 1}', "json"),
        ("a.json", b'{"a": ', "text"),
        ("a.csv", b"a,b\n1,2\n", "csv"),
        ("a.csv", b"a,b\n1\n", "text"),
        ("a.py", b"print(1)", "code"),
        ("x.dockerfile", b"FROM scratch", "code"),
        ("a.jsonl", b'{"a": 1}\n', "text"),
        ("a.toml", b"a = 1", "text"),
        ("a.svg", b"<svg/>", "text"),
        ("README", b"hello", "text"),
    ],
)
def test_content_has_a_kind(filename: str, data: bytes, kind: str) -> None:
    content = parse(filename, detect(data, filename, whole=True), data)
    assert content is not None
    assert (content.type, content.raw) == (kind, data.decode())


def test_a_picture_has_no_content() -> None:
    assert parse("a.png", "image/png", PNG) is None


def test_content_is_decoded_as_it_was_written() -> None:
    data = "Grüße".encode("latin-1")
    content = parse("a.txt", detect(data, "a.txt", whole=True), data)
    assert content is not None
    assert content.raw == "Grüße"


def test_a_byte_that_is_no_text_becomes_a_mark() -> None:
    content = parse("a.txt", "text/plain; charset=utf-8", b"a\xffb")
    assert content is not None
    assert content.raw == "a\ufffdb"
