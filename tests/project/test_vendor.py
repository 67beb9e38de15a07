"""What browsers load is in the tree: listed, unchanged, and from no other host."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "static/vendor"
LISTED = json.loads((VENDOR / "VENDOR.json").read_text())
LOCKED = json.loads((VENDOR / "package-lock.json").read_text())["packages"]

# The one name that is no address: of the format itself, where an SVG is made in a script.
NAMESPACES = ("http://www.w3.org/2000/svg",)
ADDRESS = re.compile(r"https?://[^\s\"'`)<>]+|(?:src|href)=[\"']//[^\"']+|url\([\"']?//[^)]+")


def ours() -> list[Path]:
    """Return what we wrote ourselves and browsers read."""
    files = [
        file
        for folder in ("templates", "static/css", "static/js")
        for file in (ROOT / folder).rglob("*")
        if file.is_file()
    ]
    return [*files, *(ROOT / "static").glob("*.svg")]


def foreign(text: str) -> list[str]:
    """Return the addresses of other hosts in a text."""
    return [address for address in ADDRESS.findall(text) if address not in NAMESPACES]


@pytest.mark.parametrize("row", LISTED, ids=lambda row: row["file"])
def test_a_vendored_file_is_unchanged(row: dict[str, str]) -> None:
    assert hashlib.sha256((ROOT / row["file"]).read_bytes()).hexdigest() == row["sha256"]


def test_every_vendored_file_is_listed() -> None:
    made_by_hand = {"VENDOR.json", "package.json", "package-lock.json"}
    there = {
        str(file.relative_to(ROOT))
        for folder in (VENDOR, ROOT / "tests/browser/axe")
        for file in folder.rglob("*")
        if file.is_file() and file.name not in made_by_hand
    }
    assert there == {row["file"] for row in LISTED}


def test_every_vendored_package_has_its_licence() -> None:
    folders = {(ROOT / row["file"]).parent for row in LISTED}
    assert [folder for folder in folders if not (folder / "LICENSE").is_file()] == []


def test_versions_are_those_of_the_lock() -> None:
    versions = {package["version"] for package in LOCKED.values() if "version" in package}
    assert {row["version"] for row in LISTED} <= versions
    assert not any("resolved" in package for package in LOCKED.values())


def test_no_source_map_is_asked_for() -> None:
    scripts = [row["file"] for row in LISTED if row["file"].endswith((".js", ".mjs", ".css"))]
    assert [name for name in scripts if "sourceMappingURL=" in (ROOT / name).read_text()] == []


@pytest.mark.parametrize("file", ours(), ids=lambda file: str(file.relative_to(ROOT)))
def test_pages_load_nothing_from_another_host(file: Path) -> None:
    assert foreign(file.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link href="//cdn.example/x.css">',
        "@font-face { src: url(//cdn.example/x.woff2) }",
        'import x from "http://cdn.example/x.js";',
    ],
)
def test_an_address_of_another_host_is_seen(text: str) -> None:
    assert foreign(text) != []
