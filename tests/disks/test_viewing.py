"""What a page shows of a file."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.utils.html import strip_tags

from disks import viewing
from disks.viewing import Kind, Shown, show

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
SCRIPTS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</span><iframe src=javascript:alert(1)>",
)


def shown(filename: str, text: str | bytes, **how: Any) -> Shown:
    data = text.encode() if isinstance(text, str) else text
    return show(filename, data, len(data), **how)


def test_code_has_colours_and_a_line_for_each_line() -> None:
    result = shown("a.py", "import os\n\n# end\n")
    assert result.kind is Kind.TEXT
    assert result.language == "Python"
    assert result.lines == (
        '<span class="k">import</span> os',
        "",
        '<span class="c"># end</span>',
    )


def test_a_string_over_two_lines_is_coloured_in_both() -> None:
    result = shown("a.py", '"""a\nb"""\n')
    assert result.lines == (
        '<span class="s">"""a</span>'.replace('"""', "&quot;" * 3),
        '<span class="s">b&quot;&quot;&quot;</span>',
    )


@pytest.mark.parametrize("text", ["\n\n\na\n", "a\r\nb\r\n", "a", "a\n\n\n", "\ta"])
def test_lines_keep_their_numbers(text: str) -> None:
    for name in ("a.txt", "a.py", "a.html", "a.js"):
        assert len(shown(name, text).lines) == len(text.splitlines()), name


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    "name", ["a.txt", "a.py", "a.html", "a.js", "a.css", "a.xml", "a.sh", "a.yaml", "a.md"]
)
def test_markup_in_a_file_is_text(name: str, script: str) -> None:
    for source in (False, True):
        result = shown(name, f"{script}\n'{script}'\n", source=source)
        markup = "".join(result.lines) + (result.html or "")
        for tag in ("<script", "<img", "<svg", "<iframe"):
            assert tag not in markup.lower()


def test_a_table_has_a_head_and_rows() -> None:
    result = shown("a.csv", "name,count\nx,1\ny,2\n")
    assert result.kind is Kind.TABLE
    assert result.table == viewing.Table(["name", "count"], [["x", "1"], ["y", "2"]], partial=False)


def test_a_table_ends_after_a_thousand_rows() -> None:
    result = shown("a.csv", "n\n" + "".join(f"{n}\n" for n in range(5000)))
    assert result.table is not None
    assert len(result.table.rows) == 1000
    assert result.table.partial


@pytest.mark.parametrize(("name", "text"), [("a.tsv", "a\tb\n1\t2\n"), ("a.csv", "a;b\n1;2\n")])
def test_a_table_may_have_another_delimiter(name: str, text: str) -> None:
    table = shown(name, text).table
    assert table is not None
    assert table.rows == [["1", "2"]]


def test_the_source_of_a_table_can_be_seen() -> None:
    result = shown("a.csv", "a,b\n1,2\n", source=True)
    assert result.kind is Kind.TEXT
    assert result.has_source
    assert len(result.lines) == 2


def test_json_is_tidied_and_its_text_is_kept() -> None:
    text = json.dumps({"b": [1, "é"]})
    result = shown("a.json", text)
    assert result.kind is Kind.JSON
    assert len(result.lines) == 6
    assert result.text == text


def test_broken_json_is_text() -> None:
    assert shown("a.json", "{broken").kind is Kind.TEXT


def test_markdown_is_rendered() -> None:
    html = shown("a.md", "# Title\n\n- *a*\n\n|x|\n|:-:|\n|1|\n").html
    assert html is not None
    assert "<h1>Title</h1>" in html
    assert "<em>a</em>" in html
    # An inline style would be refused by the pages' policy.
    assert "style" not in html


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "vbscript:x", "data:text/html,x", "file:///etc"],
)
def test_a_link_in_markdown_runs_nothing(link: str) -> None:
    html = shown("a.md", f"[a]({link}) <{link}> [b]: {link}\n").html
    assert html is not None
    assert "href" not in html


def test_a_picture_in_markdown_is_not_fetched() -> None:
    html = shown("a.md", "![a](https://example.org/track.png)\n").html
    assert html is not None
    assert "<img" not in html


def test_bytes_are_shown_in_hexadecimal() -> None:
    result = shown("a.bin", bytes(range(256)) * 40)
    assert result.kind is Kind.BINARY
    assert result.start_bytes == 4096
    assert len(result.lines) == 256
    assert result.lines[4].startswith("00000040  40 41 42")
    assert result.lines[4].endswith("@ABCDEFGHIJKLMNO")
    assert not result.may_be_edited


def test_a_picture_is_a_picture() -> None:
    assert shown("a.png", PNG).kind is Kind.IMAGE
    assert shown("a.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>").kind is Kind.SVG


def test_what_only_says_it_is_a_picture_is_not_shown_as_one() -> None:
    assert shown("a.png", "no picture\n").kind is Kind.TEXT


def test_an_empty_file_may_be_edited() -> None:
    result = shown("a.txt", "")
    assert result.kind is Kind.EMPTY
    assert result.may_be_edited


def test_of_a_large_text_the_start_is_shown() -> None:
    size = 3 * 1024 * 1024
    assert viewing.bytes_to_read(size) == 256 * 1024
    result = show("a.log", b"line\n" * 52_428, size, most_lines=viewing.MOST_LINES)
    assert result.start_bytes == 262_140
    assert not result.may_be_edited


def test_what_an_editor_would_change_is_not_edited() -> None:
    assert shown("a.txt", "é".encode("latin-1") + b" caf\xe9").text is None
    assert shown("a.txt", "a\rb").text is None
    assert shown("a.txt", "a\r\nb\n").text is None
    assert shown("a.txt", "a\r\nb\r\n").has_windows_lines


def test_long_lines_have_no_colours() -> None:
    assert "<span" not in shown("a.js", "var a='" + "x" * 6000 + "'").lines[0]


def test_deeply_nested_json_is_shown_as_text() -> None:
    assert shown("a.json", "[" * 100_000).kind is Kind.TEXT


def test_small_json_that_would_get_large_is_shown_as_text() -> None:
    text = "[" * 900 + ",".join("0" * 100_000) + "]" * 900
    began = time.monotonic()
    result = shown("a.json", text)
    assert result.kind is Kind.TEXT
    assert result.text == text
    assert time.monotonic() - began < 3


@pytest.mark.slow
def test_of_very_many_lines_the_first_are_drawn() -> None:
    text = "x\n" * (viewing.MOST_LINES + 5)
    for most, more in ((viewing.FIRST_LINES, True), (viewing.MOST_LINES, False)):
        result = shown("a.txt", text, most_lines=most)
        assert len(result.lines) == most
        assert result.start_bytes == 2 * most
        assert result.has_more_lines is more
        assert result.text == text
    assert shown("a.json", f"[{'0,' * viewing.MOST_LINES}0]").kind is Kind.TEXT


def test_of_a_long_json_the_first_lines_are_tidy() -> None:
    result = shown("a.json", f"[{'0,' * viewing.FIRST_LINES}0]")
    assert result.kind is Kind.JSON
    assert len(result.lines) == viewing.FIRST_LINES
    assert result.has_more_lines


@pytest.mark.slow
def test_tables_and_documents_are_no_larger_than_a_page() -> None:
    wide = shown("a.csv", ("x," * 99 + "x\n") * 1_000).table
    assert wide is not None
    assert wide.partial
    assert len(wide.rows) <= viewing.TABLE_CELLS / 100 + 1
    document = shown("a.md", "- one\n" * 100_000)
    assert document.start_bytes == viewing.DOCUMENT_BYTES
    assert document.text is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.go", "a.lua", "a.js"])
def test_colours_end_in_time_and_no_line_is_lost(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewing, "HIGHLIGHT_SECONDS", 0.2)
    # Comments that nobody closes are looked for to the end of the file, again and again.
    text = "\ufeff" + "/* --[[ <!--\r\n" * 20_000
    began = time.monotonic()
    lines = shown(name, text, most_lines=viewing.MOST_LINES).lines
    assert len(lines) == 20_000
    assert lines[-1] == "/* --[[ &lt;!--"
    assert time.monotonic() - began < 2


@pytest.mark.slow
def test_lines_are_those_of_the_file_where_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "".join(f"x = {number}  # <b>\n" for number in range(2_000))
    whole = shown("a.py", text).lines
    monkeypatch.setattr(viewing, "HIGHLIGHT_SECONDS", 0.0)
    cut = shown("a.py", text).lines
    assert [strip_tags(line) for line in cut] == [strip_tags(line) for line in whole]
    assert "<span" not in cut[-1]
