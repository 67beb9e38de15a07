"""The shell steps of `make`, each run for real in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT

TOOLS = ("cat", "sh", "sleep", "tail", "tr", "cut", "grep", "kill", "id")


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder for PATH with the system's tools and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool, path="/usr/bin:/bin"):
            (folder / tool).symlink_to(found)
    return folder


def step(
    *command: str | Path, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def this_python() -> str:
    return str(sys._base_executable)  # type: ignore[attr-defined]


def test_python_that_does_not_work_is_passed_over(bin_folder: Path, tmp_path: Path) -> None:
    script(bin_folder / "python3.12", "exit 127")
    later = tmp_path / "later"
    later.mkdir()
    (later / "python3").symlink_to(this_python())
    found = step(".make/python", PATH=f"{bin_folder}:{later}")
    assert found.stdout.startswith(str(later))


def test_python_of_pyenv_is_found(bin_folder: Path, tmp_path: Path) -> None:
    version = tmp_path / ".pyenv/versions/3.12.99/bin"
    version.mkdir(parents=True)
    (version / "python").symlink_to(this_python())
    found = step(".make/python", PATH=str(bin_folder), HOME=str(tmp_path))
    assert found.stdout.startswith(str(version))


def test_without_a_python_it_says_what_to_install(bin_folder: Path) -> None:
    found = step(".make/python", PATH=str(bin_folder), HOME="/nonexistent")
    assert found.returncode == 1
    assert "needs Python 3.12 or newer" in found.stderr
    assert "apt-get install python3" in found.stderr


def test_step_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    ended = step(".make/step", tmp_path / "log", "sh", "-c", "echo one; echo two >&2; exit 7")
    assert ended.returncode == 7
    assert ended.stderr.startswith("one\ntwo\nThis failed: sh -c")


@pytest.mark.slow
def test_long_step_says_how_far_it_is(tmp_path: Path) -> None:
    ended = step(".make/step", tmp_path / "log", "sh", "-c", "echo unpacking; sleep 5")
    assert ended.stdout == "  4 s: unpacking\n"


@pytest.mark.parametrize(
    "host", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "ssh://a"]
)
def test_engine_that_was_asked_for_and_is_away_takes_three_lines(host: str) -> None:
    ended = step(".make/engine", DOCKER_HOST=host)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 3
    assert ended.stdout == ""


@pytest.mark.docker
def test_engine_that_answers_takes_no_words() -> None:
    ended = step(".make/engine", DOCKER_HOST=os.environ.get("DOCKER_HOST", ""))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that needs no packages."""
    shutil.copytree(ROOT / ".make", tmp_path / ".make")
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/requirements.txt").touch()
    return tmp_path


@pytest.mark.slow
def test_venv_is_made_once(checkout: Path) -> None:
    assert "Making a virtual environment" in step(".make/venv", cwd=checkout).stdout
    assert step(".make/venv", cwd=checkout).stdout == ""


@pytest.mark.slow
def test_venv_that_was_interrupted_is_made_anew(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(this_python())
    (checkout / ".venv/unfinished").touch()
    assert "Making a virtual environment" in step(".make/venv", cwd=checkout).stdout
    assert not (checkout / ".venv/unfinished").exists()


@pytest.mark.slow
def test_changed_lock_is_installed_into_the_same_venv(checkout: Path) -> None:
    step(".make/venv", cwd=checkout)
    (checkout / ".ci/requirements.txt").write_text("# changed\n")
    assert step(".make/venv", cwd=checkout).stdout == "Installing 0 Python packages.\n"
