"""The admin pages of disks. Files are put there by the product itself, and only shown here."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from disks.models import Artifact, Blob, Disk
from project.admin import ReadOnly


@admin.register(Disk)
class DiskAdmin(ReadOnly):
    list_display = ("id", "project", "user", "created_at")
    list_filter = ("project",)
    search_fields = ("id", "user__identifier")
    date_hierarchy = "created_at"

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("disks.delete_disk")


@admin.register(Artifact)
class ArtifactAdmin(ReadOnly):
    list_display = ("filename", "path", "disk", "mime", "size", "updated_at")
    list_select_related = ("blob",)
    search_fields = ("path", "filename", "disk__id")

    @admin.display(description="bytes", ordering="blob__size")
    def size(self, artifact: Artifact) -> int:
        return artifact.blob.size


@admin.register(Blob)
class BlobAdmin(ReadOnly):
    list_display = ("sha256", "project", "size", "status", "created_at", "used_at")
    list_filter = ("status", "project")
    search_fields = ("sha256",)
