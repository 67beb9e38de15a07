"""Delete the bytes that no artifact points to any more, on a disk or in its trash."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from disks import spool
from disks.models import Artifact, Blob, TrashedArtifact
from disks.store import in_thread, refusals, storage
from project import database

logger = logging.getLogger(__name__)

# What one sweep takes at the most, and in one statement.
SWEEP_MOST = 10_000
SWEEP_BATCH = 200


async def sweep() -> int:
    """Delete what no artifact points to, once it is old enough. Return how many blobs went."""
    await drop_old_spools()
    gone = 0
    while gone < SWEEP_MOST and (some := await _sweep_batch()):
        gone += some
    return gone


async def drop_old_spools() -> None:
    """Delete what uploads that broke off have left."""
    await in_thread(spool.drop_old, settings.BLOB_GRACE_SECONDS)


async def sweep_some() -> bool:
    """Sweep a batch. True: there may be more. A chore of the supervisor.

    Two servers that do so at once do no harm: what is doomed stays so, and each step may be done
    twice.
    """
    return bool(await _sweep_batch())


async def _sweep_batch() -> int:
    cutoff = timezone.now() - timedelta(seconds=settings.BLOB_GRACE_SECONDS)
    await database.write(_doom, cutoff)
    doomed = await database.read(_doomed)
    for blob in doomed:
        await in_thread(_delete_bytes, blob.key)
    await database.write(_forget, [blob.pk for blob in doomed])
    if doomed:
        logger.info("swept %d blobs that no artifact pointed to", len(doomed))
    return len(doomed)


def unreferenced(cutoff: datetime) -> QuerySet[Blob]:
    """Blobs that no artifact has pointed to since then."""
    pointed_to = Exists(Artifact.objects.filter(blob=OuterRef("pk")))
    in_trash = Exists(TrashedArtifact.objects.filter(blob=OuterRef("pk")))
    return Blob.objects.filter(~pointed_to, ~in_trash, used_at__lt=cutoff)


def _doom(cutoff: datetime) -> None:
    """From here on nothing can point to them. A use since then has moved `used_at`."""
    batch = unreferenced(cutoff).exclude(status=Blob.Status.DOOMED).order_by("used_at", "id")
    with transaction.atomic():
        keys = list(batch.values_list("pk", flat=True)[:SWEEP_BATCH])
        unreferenced(cutoff).filter(pk__in=keys).update(status=Blob.Status.DOOMED)


def _doomed() -> list[Blob]:
    return list(Blob.objects.filter(status=Blob.Status.DOOMED)[:SWEEP_BATCH])


def _delete_bytes(key: str) -> None:
    with refusals():
        storage().delete(key)


def _forget(keys: list[Any]) -> None:
    Blob.objects.filter(pk__in=keys, status=Blob.Status.DOOMED).delete()
