"""Is this installation set up as it should be? Asked by the doctor page and `manage.py doctor`.

Looks at everything a sandbox or a disk stands on, from the settings to a running box, and says
for each thing that is not right what to do about it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import disk_usage
from urllib.parse import urlsplit

from channels.layers import get_channel_layer
from django.conf import settings
from django.core.files.base import ContentFile
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http.request import validate_host
from django.utils import timezone

from disks.store import in_thread, storage
from project import database, words
from project.models import Lease
from project.version import VERSION
from sandboxes import doctor as sandbox_doctor
from sandboxes.selftest import Finding, passed

logger = logging.getLogger(__name__)

GIB = 2**30
LEAST_FREE_BYTES = 2 * GIB
# Below this nothing can be written soon.
LAST_FREE_BYTES = GIB // 4
SECTION_SECONDS = 90.0
STORE_SECONDS = 20.0
LAYER_SECONDS = 5.0
OLDEST_POSTGRES = 14
PUBLIC_BITS = stat.S_IRWXG | stat.S_IRWXO
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Section:
    """What was found of one part."""

    title: str
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is looked at."""

    title: str
    look: Callable[[], Awaitable[list[Finding]]]


async def examine() -> AsyncIterator[Section]:
    """Look at one part after another. Whatever breaks is a finding, never an error."""
    for part in PARTS:
        yield Section(part.title, await _looked_at(part))


async def _looked_at(part: Part) -> list[Finding]:
    try:
        async with asyncio.timeout(SECTION_SECONDS):
            return await part.look()
    except Exception as error:
        logger.exception("the doctor could not look at: %s", part.title)
        found = str(error) or type(error).__name__
        advice = "This could not be looked at. The server's log has the whole error."
        return [Finding(part.title, False, "an answer", found, advice)]


def healthy(sections: Iterable[Section]) -> bool:
    """Tell whether nothing that is required is wrong."""
    return all(passed(section.findings) for section in sections)


def tone(finding: Finding) -> str:
    """Say how a finding is drawn: ok, warn or err."""
    if finding.ok:
        return "ok"
    return "err" if finding.required else "warn"


MARKS = {"ok": "✔ right", "warn": "▲ advised", "err": "✖ wrong"}


def report(sections: Iterable[Section], at: datetime) -> str:
    """Write what was found then as plain text, to be sent to somebody. Holds no secret."""
    lines = [f"Sandbank {VERSION}, {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"]
    for section in sections:
        lines += ["", section.title]
        for finding in section.findings:
            lines.append(f"  {MARKS[tone(finding)]:<10} {finding.name}: {finding.found}")
            if not finding.ok:
                lines += [f"{'':13}expected: {finding.expected}", f"{'':13}{finding.advice}"]
    return "\n".join(lines) + "\n"


# --- Settings ---------------------------------------------------------------------------------


async def settings_findings() -> list[Finding]:
    return [
        Finding(
            "DEBUG",
            not settings.DEBUG,
            "off",
            "on" if settings.DEBUG else "off",
            "Error pages tell everybody of code and settings: unset DEBUG.",
        ),
        _secret_key(),
        Finding(
            "ALLOWED_HOSTS",
            "*" not in settings.ALLOWED_HOSTS,
            "the names this server is reached by",
            ", ".join(settings.ALLOWED_HOSTS) or "none",
            "With * a forged Host header ends up in links: name the hosts.",
            required=False,
        ),
        *_address(),
        Finding(
            "the engine of sandboxes",
            settings.SANDBOX_ENGINE != "local",
            "one that isolates",
            settings.SANDBOX_ENGINE,
            "The local engine isolates nothing. Set SANDBOX_ENGINE=docker where others have access.",
            required=False,
        ),
    ]


def _secret_key() -> Finding:
    key = settings.SECRET_KEY
    weak = len(key) < 50 or len(set(key)) < 5 or key.startswith("django-insecure-")
    return Finding(
        "SECRET_KEY",
        not weak,
        "50 random characters or more",
        "too easy to guess" if weak else f"{len(key)} characters",
        "Unset SECRET_KEY: a good one is then made and kept in the data folder. API keys and"
        " public links made with the old one end.",
    )


def _address() -> list[Finding]:
    """What the outside calls this server must be what it answers to: pages and WebSockets."""
    if not settings.PUBLIC_URL:
        return [
            Finding(
                "PUBLIC_URL",
                True,
                "the address people use",
                "not set: the address of each request is taken",
                "",
                required=False,
            )
        ]
    address = urlsplit(settings.PUBLIC_URL)
    host = address.hostname or ""
    answers = validate_host(host, settings.ALLOWED_HOSTS)
    origin = f"{address.scheme}://{address.netloc}"
    secure = address.scheme == "https"
    return [
        Finding(
            "the host of PUBLIC_URL",
            answers,
            "among ALLOWED_HOSTS",
            host or "none",
            "Pages answer 400 and WebSockets are refused: add this host to ALLOWED_HOSTS.",
        ),
        Finding(
            "TLS",
            (secure and settings.BEHIND_TLS) or host in LOOPBACK,
            "PUBLIC_URL begins with https, BEHIND_TLS is on",
            f"{address.scheme}, BEHIND_TLS is {'on' if settings.BEHIND_TLS else 'off'}",
            "Passwords and keys travel in the clear: put a proxy with TLS in front, and set"
            " PUBLIC_URL to its https address.",
            required=False,
        ),
        Finding(
            "forms behind the proxy",
            not secure or origin in settings.CSRF_TRUSTED_ORIGINS,
            f"{origin} in CSRF_TRUSTED_ORIGINS",
            ", ".join(settings.CSRF_TRUSTED_ORIGINS) or "none",
            "Forms are refused where the proxy does not pass on Host and X-Forwarded-Proto: set"
            f" CSRF_TRUSTED_ORIGINS={origin}.",
            required=False,
        ),
    ]


# --- Data -------------------------------------------------------------------------------------


async def data_findings() -> list[Finding]:
    return await asyncio.to_thread(_data_folder, settings.DATA_DIR)


def _data_folder(folder: Path) -> list[Finding]:
    free = disk_usage(folder).free
    mode = stat.S_IMODE(folder.stat().st_mode)
    return [
        _writable(folder),
        Finding(
            "who may look into the data folder",
            not mode & PUBLIC_BITS,
            "only the server's user",
            f"mode {mode:o}",
            "Others on this machine can read keys and files: chmod 700 the folder SANDBANK_DATA.",
            required=False,
        ),
        Finding(
            "free space in the data folder",
            free >= LEAST_FREE_BYTES,
            f"{words.size(LEAST_FREE_BYTES)} or more",
            words.size(free),
            "Uploads and the database will soon fail: make room, or move SANDBANK_DATA.",
            required=free < LAST_FREE_BYTES,
        ),
    ]


def _writable(folder: Path) -> Finding:
    probe = folder / f"doctor-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(b"x" * 4096)
        found = "writable"
    except OSError as error:
        found = error.strerror or "not writable"
    finally:
        probe.unlink(missing_ok=True)
    return Finding(
        "the data folder",
        found == "writable",
        "writable",
        found,
        "Nothing can be kept: give the folder SANDBANK_DATA to the server's user, and make room.",
    )


async def database_findings() -> list[Finding]:
    return [
        *await database.read(_database_facts),
        await database.write(_database_writes),
    ]


def _database_facts() -> list[Finding]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [
        Finding(
            "tables",
            not missing,
            "as this version of Sandbank wants them",
            f"{words.plural(len(missing), 'migration')} to apply" if missing else "up to date",
            "Restart the server with `manage.py serve`, or run `manage.py migrate`.",
        ),
        _sqlite() if connection.vendor == "sqlite" else _postgres(),
    ]


def _sqlite() -> Finding:
    with connection.cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    return Finding(
        "SQLite",
        mode == "wal",
        "journal mode wal",
        f"{sqlite3.sqlite_version}, journal mode {mode}",
        "Readers and writers wait for each other. Is the data folder on a network file system?"
        " Move it to a local disk.",
    )


def _postgres() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = str(cursor.fetchone()[0])
    return Finding(
        "PostgreSQL",
        int(version.split(".")[0]) >= OLDEST_POSTGRES,
        f"{OLDEST_POSTGRES} or newer",
        version,
        "This version gets no repairs any more: update the database.",
        required=False,
    )


def _database_writes() -> Finding:
    """Write a row and take it back."""
    probe = {"name": f"doctor {secrets.token_hex(4)}", "holder": "doctor"}
    try:
        with transaction.atomic():
            Lease.objects.create(**probe, expires_at=timezone.now())
            transaction.set_rollback(True)
        found = "writable"
    except DatabaseError as error:
        found = str(error)
    return Finding(
        "the database",
        found == "writable",
        "writable",
        found,
        "Nothing can be changed. Are its tables there, its disk full, or may its user only read?",
    )


async def store_findings() -> list[Finding]:
    """Store a file, read it and delete it, where the bytes of artifacts go."""
    kind = type(storage()).__name__
    content = secrets.token_bytes(64)
    try:
        async with asyncio.timeout(STORE_SECONDS):
            found = await in_thread(_there_and_back, content)
    except Exception as error:
        logger.exception("the file store failed the doctor")
        found = str(error) or "no answer in time"
    advice = (
        "Files cannot be kept. Is the folder blobs writable, its disk full? With S3: are bucket,"
        " endpoint, region and keys right, and may they put, get and delete?"
    )
    right = "stores, reads and deletes"
    return [Finding(f"the file store ({kind})", found == right, right, found, advice)]


def _there_and_back(content: bytes) -> str:
    store = storage()
    name = store.save(f"doctor/{secrets.token_hex(8)}", ContentFile(content))
    try:
        with store.open(name) as file:
            read = file.read()
    finally:
        store.delete(name)
    return "stores, reads and deletes" if read == content else "gives back other bytes"


async def layer_findings() -> list[Finding]:
    """Send a message through the channel layer, as pages hear of changes."""
    layer = get_channel_layer()
    if layer is None:
        return []
    name = await layer.new_channel()
    message = {"type": "doctor", "id": secrets.token_hex(8)}
    async with asyncio.timeout(LAYER_SECONDS):
        await layer.send(name, message)
        came = await layer.receive(name)
    return [
        Finding(
            f"the channel layer ({type(layer).__name__})",
            came == message,
            "hands on what it is given",
            "hands it on" if came == message else "hands on something else",
            "Pages do not hear of changes and look every 30 s. Is the server at REDIS_URL there?",
        )
    ]


PARTS = (
    Part("Settings", settings_findings),
    Part("Data folder", data_findings),
    Part("Database", database_findings),
    Part("File store", store_findings),
    Part("Live events", layer_findings),
    Part("Engine", sandbox_doctor.engine_findings),
    Part("Images", sandbox_doctor.image_findings),
    Part("Isolation", sandbox_doctor.isolation_findings),
    Part("A sandbox", sandbox_doctor.guest_findings),
)
