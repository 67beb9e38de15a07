"""What must be there before a server can serve: the sandbox image, the tables, the static files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from project.words import plural
from sandboxes.engine import get_engine
from sandboxes.engine.base import Image
from sandboxes.image.build import ensure_image

Report = Callable[[str], None]


async def prepare_image(report: Report) -> Image:
    """Return the image of new sandboxes, made first if the engine lacks it."""
    if settings.SANDBOX_IMAGE:
        return await get_engine().image(settings.SANDBOX_IMAGE)
    return await ensure_image(get_engine(), report)


def prepare_database(report: Report) -> None:
    """Bring the tables up to date."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        report(f"Bringing the database up to date: {plural(len(missing), 'migration')}.")
        call_command("migrate", interactive=False, verbosity=0)


def prepare_static_files(report: Report) -> None:
    """Gather and compress what pages load, if any of it changed."""
    collected = settings.DATA_DIR / "static.sha256"
    wanted = _fingerprint()
    if collected.is_file() and collected.read_text() == wanted:
        return
    report("Gathering static files.")
    call_command("collectstatic", interactive=False, verbosity=0)
    collected.write_text(wanted)


def _fingerprint() -> str:
    """Return a hash that changes with any static file. Looks at sizes and times, not at bytes."""
    seen = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            modified = storage.get_modified_time(path).isoformat()
            seen.update(f"{path} {storage.size(path)} {modified}\n".encode())
    return seen.hexdigest()
