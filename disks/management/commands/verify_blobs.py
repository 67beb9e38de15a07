from __future__ import annotations

import hashlib
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from disks import artifacts, blobs
from disks.models import Artifact, Blob, Disk, TrashedArtifact
from disks.store import storage


class Command(BaseCommand):
    help = "Compare the bytes of every artifact with what was stored, and count what disks hold."

    def handle(self, *args: Any, **options: Any) -> None:
        read, bad = 0, 0
        for blob in Blob.objects.filter(status=Blob.Status.READY).iterator():
            read += 1
            problem = problem_of(blob)
            if problem:
                bad += 1
                names = ", ".join(
                    [
                        *(f"{row.disk_id}:{row}" for row in Artifact.objects.filter(blob=blob)),
                        *(
                            f"{row.disk_id}:{row} (in the trash)"
                            for row in TrashedArtifact.objects.filter(blob=blob)
                        ),
                    ]
                )
                self.stderr.write(f"{problem}: {blob.key} of {names or 'no artifact'}")
        for disk in Disk.objects.iterator():
            if artifacts.recount(disk.pk):
                self.stderr.write(f"disk {disk.pk} had counted wrong what is on it: put right")
        self.stdout.write(f"{read} blobs read, {bad} not as they were stored")
        if bad:
            raise CommandError("some bytes are lost; bring them back from a backup")


def problem_of(blob: Blob) -> str:
    """Return what is wrong with the bytes of a blob; nothing if they are as they were."""
    digest = hashlib.sha256()
    try:
        with storage().open(blob.key, "rb") as file:
            for chunk in file.chunks(blobs.CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        return "missing"
    return "" if digest.hexdigest() == blob.sha256 else "changed"
