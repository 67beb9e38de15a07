"""The engine without isolation: it leaves nothing behind, and its boxes have a working guest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from sandboxes.engine import get_engine
from sandboxes.engine.local import LocalEngine
from sandboxes.guest.command import agent_command, relay_command
from sandboxes.guest.link import Link, StartSpec
from sandboxes.image.build import default_image_name, ensure_image
from tests.engine.boxes import MIB, lives, run, shell, start_box


@pytest.fixture
def choice(settings):
    """Forgets which engine was chosen, before and after."""
    get_engine.cache_clear()
    yield settings
    get_engine.cache_clear()


def test_setting_chooses_the_engine(choice):
    choice.SANDBOX_ENGINE = "local"

    assert isinstance(get_engine(), LocalEngine)


def test_engine_is_refused_where_others_have_access(choice):
    choice.SANDBOX_ENGINE, choice.TESTING, choice.DEBUG = "local", False, False

    with pytest.raises(ImproperlyConfigured, match="isolates nothing"):
        get_engine()


async def test_daemon_without_environment_ends_with_its_box(local_engine, make_spec):
    script = "env -i setsid sh -c 'echo $$ > pid; exec sleep 60' & wait"
    name = await start_box(local_engine, make_spec(command=["sh", "-c", script]))
    pid = await shell(local_engine, name, "while [ ! -s pid ]; do sleep 0.01; done; cat pid")

    await local_engine.remove(name)

    assert not lives(int(pid))


async def test_orphan_ends_with_its_box(local_engine, make_spec):
    script = "(setsid sleep 60 & echo $! > pid) & sleep 60"
    name = await start_box(local_engine, make_spec(command=["sh", "-c", script]))
    pid = await shell(local_engine, name, "while [ ! -s pid ]; do sleep 0.01; done; cat pid")

    await local_engine.remove(name)

    assert not lives(int(pid))


async def test_folder_goes_with_its_box(local_engine, make_spec):
    name = await start_box(local_engine, make_spec())
    folder = Path((await run(local_engine, name, "pwd")).strip())
    assert folder.is_dir()

    await local_engine.close()

    assert not folder.parent.exists()


async def test_secrets_of_the_server_stay_with_it(local_engine, make_spec, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "secret")
    name = await start_box(local_engine, make_spec())

    assert "secret" not in await run(local_engine, name, "env")


async def test_paused_box_stands_still(local_engine, make_spec):
    script = "while :; do echo >> ticks; sleep 0.01; done"
    name = await start_box(local_engine, make_spec(command=["sh", "-c", script]))
    ticks = Path((await run(local_engine, name, "pwd")).strip()) / "ticks"

    await local_engine.pause(name)
    before = ticks.stat().st_size
    await asyncio.sleep(0.1)

    assert ticks.stat().st_size == before


async def test_default_image_is_made_at_once(local_engine):
    image = await ensure_image(local_engine, print)

    assert await local_engine.image(default_image_name()) == image


async def test_import_counts_the_archive(local_engine):
    async def archive():
        yield bytes(MIB)
        yield bytes(MIB)

    assert (await local_engine.import_image("some:1", archive(), {})).size_bytes == 2 * MIB


async def test_guest_takes_the_folder_of_its_box_for_everything(local_engine, make_spec):
    command = agent_command(name := make_spec().name)
    environment = {"SANDBANK_GUEST_TOKEN": "token"}
    await start_box(local_engine, make_spec(name=name, command=command, environment=environment))
    stream = await local_engine.open_stream(name, relay_command(name))
    link = await Link.open(stream, "token")

    attachment = await link.start(StartSpec("one", "echo hello > file"))
    await attachment.exit()

    assert (await link.stat("/workspace/file")).size == 6
    assert await run(local_engine, name, "cat", "file") == "hello\n"
    await link.close()
