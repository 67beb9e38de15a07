"""Disks, the artifacts on them, and the bytes of those, stored once per content.

Also what is on its way to and from them: uploads and transfers.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from project.models import EndUser, Project


class PathField(models.TextField):  # type: ignore[type-arg]
    """Text that every database compares by its bytes: so a folder is one range of the paths."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, str | None]:
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters


class Disk(models.Model):
    """A named tree of files that outlives every sandbox."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="disks")
    user = models.ForeignKey(EndUser, null=True, on_delete=models.CASCADE, related_name="disks")
    name = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    created_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    # What is on it. Kept by disks/artifacts.py, in the transactions that change its files.
    files = models.BigIntegerField(default=0, editable=False)
    bytes = models.BigIntegerField(default=0, editable=False)
    # When the disk, or a file on it, was last changed.
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("created_at", "id")
        indexes = (models.Index(fields=("project", "created_at", "id"), name="disk_page"),)

    def __str__(self) -> str:
        return self.name or str(self.id)[:8]


class Blob(models.Model):
    """The bytes of one content of a project.

    Written as PENDING before its bytes are stored, so that no crash leaves bytes nobody knows
    of. READY once an artifact points to it. DOOMED while its bytes are being deleted: nothing
    may point to it any more.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        DOOMED = "doomed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # None once the project is gone; then the sweep takes it.
    project = models.ForeignKey(Project, null=True, on_delete=models.SET_NULL, related_name="+")
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When an artifact was last pointed to it.
    used_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("project", "sha256"),
                condition=models.Q(status="ready"),
                name="one_blob_for_a_content",
            ),
        )
        indexes = (models.Index(fields=("status", "used_at", "id"), name="blob_sweep"),)

    def __str__(self) -> str:
        return self.sha256

    @property
    def key(self) -> str:
        """Its name in the store. It has the row's id: a content that comes again never meets
        the deletion of its former bytes."""
        return f"{self.id.hex[:2]}/{self.id.hex}"


class Artifact(models.Model):
    """One file on a disk. `path` is its folder, with a slash at both ends."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    disk = models.ForeignKey(Disk, on_delete=models.CASCADE, related_name="artifacts")
    path = PathField()
    filename = PathField()
    meta = models.JSONField(default=dict, blank=True)
    mime = models.CharField(max_length=200)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="artifacts")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("path", "filename")
        constraints = (
            models.UniqueConstraint(fields=("disk", "path", "filename"), name="one_artifact"),
        )
        # What is told of a folder is read from this index alone.
        indexes = (
            models.Index(
                fields=("disk", "path", "updated_at", "filename"), name="artifact_changes"
            ),
        )

    def __str__(self) -> str:
        return f"{self.path}{self.filename}"


class TrashedArtifact(models.Model):
    """A deleted file of a disk, until it is restored or purged."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    disk = models.ForeignKey(Disk, on_delete=models.CASCADE, related_name="trash")
    # What was deleted together is restored together.
    deletion = models.UUIDField()
    path = models.TextField()
    filename = models.TextField()
    meta = models.JSONField(default=dict, blank=True)
    mime = models.CharField(max_length=200)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="trashed")
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)
    deleted_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-deleted_at", "path", "filename", "id")
        indexes = (
            models.Index(fields=("disk", "-deleted_at"), name="trash_page"),
            models.Index(fields=("deletion",), name="trash_deletion"),
        )

    def __str__(self) -> str:
        return f"{self.path}{self.filename}"


class Place(models.TextChoices):
    """The two kinds of places that hold files."""

    DISK = "disk"
    SANDBOX = "sandbox"


class OnConflict(models.TextChoices):
    """What becomes of a file whose name is taken."""

    REPLACE = "replace"
    SKIP = "skip"
    # Both are kept; the new one gets another name.
    RENAME = "rename", "keep both"


class Upload(models.Model):
    """A file on its way from a browser, as it is known to tus. Its bytes wait in the spool."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    # Where it goes; the place may be gone when it arrives.
    place = models.CharField(max_length=10, choices=Place)
    place_id = models.UUIDField()
    folder = models.TextField()
    filename = models.TextField()
    on_conflict = models.CharField(max_length=10, choices=OnConflict, default=OnConflict.REPLACE)
    size = models.BigIntegerField()
    # How many bytes have arrived.
    offset = models.BigIntegerField(default=0)
    created_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at", "id")
        indexes = (models.Index(fields=("expires_at",), name="upload_expiry"),)

    def __str__(self) -> str:
        return self.filename


class Transfer(models.Model):
    """A copy or move of files and folders from one place to another, as a job with progress."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="transfers")
    source = models.CharField(max_length=10, choices=Place)
    source_id = models.UUIDField()
    source_name = models.CharField(max_length=200, blank=True)
    source_folder = models.TextField()
    # The names in that folder, of files and of folders.
    names = models.JSONField(default=list)
    target = models.CharField(max_length=10, choices=Place)
    target_id = models.UUIDField()
    target_name = models.CharField(max_length=200, blank=True)
    target_folder = models.TextField()
    # Is the source removed once it is copied?
    moves = models.BooleanField(default=False)
    on_conflict = models.CharField(max_length=10, choices=OnConflict, default=OnConflict.REPLACE)

    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    cancel_requested = models.BooleanField(default=False)
    files_total = models.PositiveIntegerField(default=0)
    files_done = models.PositiveIntegerField(default=0)
    files_skipped = models.PositiveIntegerField(default=0)
    files_failed = models.PositiveIntegerField(default=0)
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    # The file under way.
    current = models.TextField(blank=True)
    # The first of the files that were not copied: [{"path": "/a/b", "why": "..."}].
    problems = models.JSONField(default=list)
    error = models.TextField(blank=True)
    created_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    # When its server last told of it: a job whose server died is known by this.
    seen_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at", "id")
        indexes = (
            models.Index(fields=("project", "-created_at"), name="transfer_page"),
            models.Index(
                fields=("seen_at",),
                name="transfer_unfinished",
                condition=models.Q(status__in=("waiting", "running")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.source_name} to {self.target_name}"
