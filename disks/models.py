"""Disks, the artifacts on them, and the bytes of those, stored once per content."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from project.models import EndUser, Project


class Disk(models.Model):
    """A named tree of files that outlives every sandbox."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="disks")
    user = models.ForeignKey(EndUser, null=True, on_delete=models.CASCADE, related_name="disks")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("created_at", "id")
        indexes = (models.Index(fields=("project", "created_at", "id"), name="disk_page"),)

    def __str__(self) -> str:
        return str(self.id)


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
    path = models.TextField()
    filename = models.TextField()
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

    def __str__(self) -> str:
        return f"{self.path}{self.filename}"
