"""The pages of docs/ name every setting and every address that there is."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from project.api import api
from sandboxes.consumers.visitor import CloseCode

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "/api/v1"


def words(*names: str) -> str:
    return "\n".join((ROOT / name).read_text() for name in names)


def test_every_setting_is_in_the_table() -> None:
    source = words("project/settings.py", "project/management/commands/serve.py")
    source += words("project/first_start.py", "project/server.py")
    settings = set(re.findall(r'(?:env\.\w+|environ\.get|getenv)\(\s*"([A-Z][A-Z0-9_]+)"', source))
    assert len(settings) > 40
    table = words("docs/operating.md")
    assert [name for name in sorted(settings) if f"`{name}`" not in table] == []


def test_every_address_of_the_api_is_described() -> None:
    importlib.import_module("project.urls")  # gives the API its addresses
    paths = api.get_openapi_schema(path_prefix=PREFIX)["paths"]
    operations = {
        f"{method.upper()} {path.removeprefix(PREFIX)}"
        for path, methods in paths.items()
        for method in methods
    }
    assert len(operations) > 40
    described = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`?]*)`", words("docs/api.md")))
    assert sorted(operations - described) == []
    assert sorted(described - operations) == []


def test_every_close_code_is_in_the_table() -> None:
    described = re.findall(r"^\| (\d{4}) \|", words("docs/api.md"), re.MULTILINE)
    assert sorted(described) == sorted(str(int(code)) for code in CloseCode)


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
