"""The one way to read a path."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disks.paths import destination, filename_of, folder_of, split
from project.errors import Invalid


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("", "/"),
        ("/", "/"),
        ("  /a/ ", "/a/"),
        ("/a /", "/a /"),
        ("a/b", "/a/b/"),
        ("//a///b//", "/a/b/"),
        ("/v1..2/", "/v1..2/"),
        ("/with space/Grüße/", "/with space/Grüße/"),
        ("/back\\slash/", "/back\\slash/"),
    ],
)
def test_a_folder_has_a_slash_at_both_ends(text: str, folder: str) -> None:
    assert folder_of(text) == folder


@pytest.mark.parametrize(
    "text", ["/..", "/a/../b/", "/./", "/a\x00/", "/a\n/", "/" + "x" * 256, "/x" * 600]
)
def test_a_folder_that_leads_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        folder_of(text)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "nul\x00", "line\nbreak", "x" * 256, "ü" * 128]
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        filename_of(name)


def test_a_file_is_a_folder_and_a_name() -> None:
    assert split("/documents/report.pdf") == ("/documents/", "report.pdf")
    assert split("report.pdf") == ("/", "report.pdf")
    assert split("//a//b") == ("/a/", "b")
    assert split("/end /name ") == ("/end /", "name ")
    with pytest.raises(Invalid, match="names no file"):
        split("/documents/")


@pytest.mark.parametrize(
    ("file_path", "folder"),
    [
        ("/notes/", "/notes/"),
        ("/notes", "/notes/"),
        ("/notes/a.txt", "/notes/"),
        ("/a.txt", "/"),
        ("a.txt", "/"),
        ("/notes/b.txt", "/notes/b.txt/"),
        ("/a.txt/", "/a.txt/"),
        ("", "/"),
    ],
)
def test_an_upload_of_a_txt_goes_where_its_path_says(file_path: str, folder: str) -> None:
    assert destination(file_path, "a.txt") == folder


@given(st.text(max_size=60))
def test_what_was_normalised_once_stays_as_it_is(text: str) -> None:
    with contextlib.suppress(Invalid):
        folder = folder_of(text)
        assert folder_of(folder) == folder
        assert folder.startswith("/")
        assert folder.endswith("/")
        assert "//" not in folder
