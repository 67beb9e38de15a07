"""The default image is found or made, and says how that goes."""

from __future__ import annotations

import asyncio
import os
import shutil
import time

import pytest

from sandboxes.engine.base import EngineError, EngineUnavailable, Image, ImageNotFound
from sandboxes.image import build
from tests.engine.boxes import shell

TOOLS = (
    "bash python3 pip git curl rg fd jq sqlite3 zip unzip convert ps less nano bc tree file find"
)


class Shelf:
    """As much of an engine as keeps images."""

    def __init__(self, *, registry: Exception | None = None) -> None:
        self.images: dict[str, Image] = {}
        self.registry = registry
        self.imported = b""

    async def image(self, name):
        if name not in self.images:
            raise ImageNotFound("There is no such image.")
        return self.images[name]

    async def build_image(self, name, context, base, labels, report):
        if self.registry is not None:
            raise self.registry
        report("Step 1/2")
        return self.images.setdefault(name, Image(name, "built", 1, labels))

    async def import_image(self, name, archive, labels):
        self.imported = b"".join([chunk async for chunk in archive])
        return self.images.setdefault(name, Image(name, "imported", 1, labels))


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe that takes no time. Returns a function that sets its bootstrap script."""
    for name in build.RECIPE:
        (tmp_path / name).write_text("FROM base:1\n" if name == "Dockerfile" else "")
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    build.default_image_name.cache_clear()
    yield lambda script: (tmp_path / "bootstrap.sh").write_text(script)
    build.default_image_name.cache_clear()


@pytest.fixture
def no_registry():
    return Shelf(registry=ImageNotFound("No registry answers."))


@pytest.fixture
def with_mmdebstrap(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def test_name_changes_with_the_recipe(recipe):
    before = build.default_image_name()
    recipe("another")
    build.default_image_name.cache_clear()

    assert before != build.default_image_name()
    assert before.startswith("sandbank/sandbox:")
    assert len(before.rpartition(":")[2]) == 12


async def test_image_that_is_there_is_not_made_again():
    shelf = Shelf()
    said: list[str] = []
    name = build.default_image_name()
    shelf.images[name] = Image(name, "old", 1, {})

    assert (await build.ensure_image(shelf, said.append)).id == "old"
    assert said == []


async def test_dockerfile_is_used_where_a_registry_answers(recipe):
    said: list[str] = []

    assert (await build.ensure_image(Shelf(), said.append)).id == "built"
    assert "Step 1/2" in said


async def test_debian_is_used_where_no_registry_answers(recipe, no_registry, with_mmdebstrap):
    recipe("echo I: working >&2; printf archive")
    said: list[str] = []

    assert (await build.ensure_image(no_registry, said.append)).id == "imported"
    assert no_registry.imported == b"archive"
    assert "working" in said


async def test_debian_is_used_where_the_build_fails(recipe, with_mmdebstrap):
    shelf = Shelf(registry=EngineError("The engine could not do that."))

    assert (await build.ensure_image(shelf, print)).id == "imported"


async def test_engine_that_is_down_is_not_worked_around(recipe, with_mmdebstrap):
    with pytest.raises(EngineUnavailable):
        await build.ensure_image(Shelf(registry=EngineUnavailable("down")), print)


async def test_recipe_that_fails_makes_no_image(recipe, no_registry, with_mmdebstrap):
    recipe("printf half; echo E: no mirror >&2; exit 3")

    with pytest.raises(EngineError, match="E: no mirror"):
        await build.ensure_image(no_registry, print)

    assert no_registry.images == {}


async def test_recipe_ends_when_its_image_is_given_up(
    recipe, no_registry, with_mmdebstrap, tmp_path
):
    recipe(f"trap 'touch {tmp_path}/ended; exit 1' TERM; touch {tmp_path}/begun; sleep 30 & wait")
    making = asyncio.create_task(build.ensure_image(no_registry, print))
    await asyncio.to_thread(wait_for, tmp_path / "begun")

    making.cancel()

    with pytest.raises(asyncio.CancelledError):
        await making
    assert (tmp_path / "ended").exists()


@pytest.mark.parametrize(("tool", "user"), [(None, 0), ("apt-get", 1000)])
async def test_three_lines_say_what_to_do(recipe, no_registry, monkeypatch, tool, user):
    monkeypatch.setattr(shutil, "which", lambda name: name if name == tool else None)
    monkeypatch.setattr(os, "geteuid", lambda: user)

    with pytest.raises(ImageNotFound) as caught:
        await build.ensure_image(no_registry, print)

    first, second, third = str(caught.value).splitlines()
    assert "cannot be made" in first
    assert "registry that has base:1" in second
    assert "apt-get install mmdebstrap" in third


async def test_root_on_debian_installs_mmdebstrap(recipe, no_registry, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "apt-get" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(build, "INSTALL", [("sh", "-c", "echo I: installed >&2")])
    said: list[str] = []

    assert (await build.ensure_image(no_registry, said.append)).id == "imported"
    assert "installed" in said


@pytest.mark.docker
async def test_image_holds_what_it_promises(docker_engine, victim):
    missing = f"for tool in {TOOLS}; do command -v $tool >/dev/null || echo $tool; done"

    assert await shell(docker_engine, victim, missing) == ""


@pytest.mark.docker
async def test_image_has_no_leftovers(docker_engine, victim):
    script = "ls /var/lib/apt/lists /usr/share/doc /usr/share/man /tmp/setup.sh 2>/dev/null | wc -l"

    assert int(await shell(docker_engine, victim, script)) < 8


@pytest.mark.docker
async def test_users_install_what_they_bring(docker_engine, victim):
    script = "pip --version >/dev/null && pip install --no-index nothing 2>&1 | grep -c externally"

    assert await shell(docker_engine, victim, script) == "0\n"


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.timeout(900)
async def test_image_is_made_from_nothing(private_engine):
    engine = private_engine.engine()
    said: list[str] = []

    image = await build.ensure_image(engine, said.append)

    assert image.size_bytes < 700_000_000
    assert said[-1].startswith("The image is ready")
    await engine.close()


def wait_for(path):
    for _ in range(500):
        if path.exists():
            return
        time.sleep(0.01)
    pytest.fail(f"{path} did not come into being")
