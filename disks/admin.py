"""The admin pages of disks. Files are put there by the product itself, and only shown here."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from disks import jobs, sweep, trash
from disks.models import Artifact, Blob, Disk, OnConflict, Transfer, TrashedArtifact, Upload
from project import events, words
from project.admin.base import ReadOnly, asks, link, run
from project.errors import Conflict


class OfADisk(ReadOnly):
    """Rows that belong to a disk."""

    list_select_related = ("disk", "blob")

    def project_of(self, row: Any) -> uuid.UUID | None:
        project_id: uuid.UUID = row.disk.project_id
        return project_id

    @admin.display(ordering="blob__size")
    def size(self, row: Artifact | TrashedArtifact) -> str:
        return words.size(row.blob.size)


@admin.register(Disk)
class DiskAdmin(ReadOnly):
    list_display = ("name_or_id", "project", "files", "size", "created_by", "created_at", "page")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("id", "name", "created_by", "user__identifier")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    actions = ("purge_trash",)
    fields = (
        "id",
        "name",
        "description",
        "project",
        "user",
        "files",
        "size",
        "in_trash",
        "created_by",
        "created_at",
        "updated_at",
        "page",
    )

    @admin.display(description="name", ordering="name")
    def name_or_id(self, disk: Disk) -> str:
        return str(disk)

    @admin.display(ordering="bytes")
    def size(self, disk: Disk) -> str:
        return words.size(disk.bytes)

    @admin.display(description="in its trash")
    def in_trash(self, disk: Disk) -> str:
        found = disk.trash.aggregate(number=Count("pk"), bytes=Coalesce(Sum("blob__size"), 0))
        return f"{found['number']} files, {words.size(found['bytes'])}"

    @admin.display(description="in Sandbank")
    def page(self, disk: Disk) -> SafeString:
        return link(f"/disks/{disk.pk}/files/", "Open")

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("disks.delete_disk")

    @admin.action(description="Purge the trash of the selected disks…", permissions=["delete"])
    @asks(
        "Purge the trash?",
        "The deleted files of these disks cannot be restored any more.",
        "Purge",
    )
    def purge_trash(self, request: HttpRequest, queryset: QuerySet[Disk]) -> None:
        async def purge(disk: Disk) -> None:
            await trash.empty(disk)
            await events.changed(disk.project_id, "disk", disk.pk)

        self.act(request, queryset, "file.purge", purge, "Purged the trash of")


@admin.register(Artifact)
class ArtifactAdmin(OfADisk):
    list_display = ("filename", "path", "disk", "mime", "size", "updated_at")
    search_fields = ("path", "filename", "=disk__id", "disk__name")


@admin.register(TrashedArtifact)
class TrashedArtifactAdmin(OfADisk):
    list_display = ("filename", "path", "disk", "size", "deleted_by", "deleted_at")
    search_fields = ("path", "filename", "=disk__id", "disk__name", "deleted_by")
    actions = ("restore", "purge")

    def has_purge_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("disks.delete_trashedartifact")

    @admin.action(description="Restore; where the name is taken, keep both", permissions=["purge"])
    def restore(self, request: HttpRequest, queryset: QuerySet[TrashedArtifact]) -> None:
        async def restore(file: TrashedArtifact) -> None:
            await trash.restore(file.disk, trash.chosen([file.pk]), OnConflict.RENAME)
            await events.changed(file.disk.project_id, "disk", file.disk_id)

        rows = queryset.select_related("disk")
        self.act(request, rows, "file.restore", restore, "Restored")

    @admin.action(description="Purge the selected files…", permissions=["purge"])
    @asks("Purge deleted files?", "They cannot be restored any more.", "Purge")
    def purge(self, request: HttpRequest, queryset: QuerySet[TrashedArtifact]) -> None:
        async def purge(file: TrashedArtifact) -> None:
            await trash.purge(file.disk, trash.chosen([file.pk]))
            await events.changed(file.disk.project_id, "disk", file.disk_id)

        self.act(request, queryset.select_related("disk"), "file.purge", purge, "Purged")


@admin.register(Blob)
class BlobAdmin(ReadOnly):
    list_display = ("sha256", "project", "bytes", "status", "created_at", "used_at")
    list_filter = ("status", "project")
    list_select_related = ("project",)
    search_fields = ("sha256",)
    ordering = ("-created_at",)
    actions = ("sweep",)

    @admin.display(ordering="size")
    def bytes(self, blob: Blob) -> str:
        return words.size(blob.size)

    def has_sweep_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("disks.delete_blob")

    @admin.action(description="Sweep now (all that nothing points to)", permissions=["sweep"])
    def sweep(self, request: HttpRequest, queryset: QuerySet[Blob]) -> HttpResponse | None:
        gone = run(sweep.sweep)
        swept = words.plural(gone, "blob")
        self.note(request, "blob.sweep", swept)
        messages.success(request, f"Swept {swept} that nothing had pointed to for long.")
        return None


@admin.register(Upload)
class UploadAdmin(ReadOnly):
    list_display = (
        "filename",
        "project",
        "place",
        "size",
        "offset",
        "created_by",
        "created_at",
        "expires_at",
        "finished_at",
    )
    list_filter = (("finished_at", admin.EmptyFieldListFilter), "place", "project")
    list_select_related = ("project",)
    search_fields = ("filename", "folder", "created_by")
    ordering = ("-created_at",)


@admin.register(Transfer)
class TransferAdmin(ReadOnly):
    list_display = (
        "__str__",
        "project",
        "status",
        "files_done",
        "files_total",
        "created_by",
        "created_at",
        "finished_at",
    )
    list_filter = ("status", "project")
    list_select_related = ("project",)
    search_fields = ("=id", "source_name", "target_name", "created_by")
    actions = ("cancel",)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("disks.delete_transfer")

    @admin.action(description="Cancel the selected transfers…", permissions=["cancel"])
    @asks(
        "Cancel transfers?",
        "What was copied already stays where it is.",
        "Cancel them",
        only=lambda transfers: transfers.filter(status__in=jobs.UNFINISHED),
    )
    def cancel(self, request: HttpRequest, queryset: QuerySet[Transfer]) -> None:
        async def cancel(transfer: Transfer) -> None:
            if not await jobs.cancel(transfer):
                raise Conflict(f"it is {transfer.get_status_display()} already")

        self.act(request, queryset, "transfer.cancel", cancel, "Cancelled")
