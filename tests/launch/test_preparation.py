"""What is made ready before a server serves, and only if it is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from project.preparation import prepare_database, prepare_static_files


@pytest.fixture
def reported() -> list[str]:
    return []


@pytest.fixture
def source(settings: Settings, tmp_path: Path) -> Path:
    """The one folder of static files, to be gathered elsewhere."""
    for name in ("source", "data", "gathered"):
        (tmp_path / name).mkdir()
    settings.STATICFILES_DIRS = [tmp_path / "source"]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = tmp_path / "gathered"
    settings.DATA_DIR = tmp_path / "data"
    (tmp_path / "source/app.css").write_text("body {}")
    return tmp_path / "source"


def test_static_files_are_gathered_once(source: Path, reported: list[str]) -> None:
    prepare_static_files(reported.append)
    prepare_static_files(reported.append)
    assert reported == ["Gathering static files."]
    assert (source.parent / "gathered/app.css").read_text() == "body {}"


def test_changed_static_file_is_gathered_again(source: Path, reported: list[str]) -> None:
    prepare_static_files(reported.append)
    (source / "app.css").write_text("body { color: black }")
    prepare_static_files(reported.append)
    assert len(reported) == 2


@pytest.mark.django_db
def test_database_that_is_up_to_date_is_left_alone(reported: list[str]) -> None:
    prepare_database(reported.append)
    assert reported == []
