"""The pages of disks."""

from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import PathConverter
from django.urls.resolvers import URLPattern

from disks.views import disks as disk_pages
from disks.views import downloads, files_api, trash, uploads
from disks.views import files as file_pages
from disks.views import traffic as traffic_part
from disks.views import transfer as transfer_pages

app_name = "disks"


class AnyPathConverter(PathConverter):
    """A path inside a place; that of its root is empty."""

    # A name may hold anything, even a line break.
    regex = "(?s:.*)"


register_converter(AnyPathConverter, "anypath")

DISK, BOX = {"kind": "disk"}, {"kind": "sandbox"}

urlpatterns: list[URLPattern] = [
    path("disks/", disk_pages.disks, name="list"),
    path("disks/new/", disk_pages.new, name="new"),
    path("disks/<uuid:disk_id>/", file_pages.disk, name="disk"),
    path("disks/<uuid:disk_id>/settings/", disk_pages.settings, name="settings"),
    path("disks/<uuid:disk_id>/delete/", disk_pages.delete, name="delete"),
    path("disks/<uuid:disk_id>/trash/", disk_pages.trash, name="trash"),
    path("disks/<uuid:disk_id>/files/<anypath:path>", file_pages.disk_files, name="files"),
    path(
        "sandboxes/<uuid:sandbox_id>/files/<anypath:path>",
        file_pages.sandbox_files,
        name="sandbox_files",
    ),
    path("sandboxes/<uuid:sandbox_id>/traffic/", traffic_part.traffic, name="sandbox_traffic"),
    path("disks/<uuid:place_id>/file-list", files_api.listing, DISK, name="file_list"),
    path("disks/<uuid:place_id>/file-stat", files_api.stat, DISK, name="file_stat"),
    path(
        "disks/<uuid:place_id>/file-actions/<slug:action>", files_api.act, DISK, name="file_action"
    ),
    path("disks/<uuid:place_id>/file-raw/<anypath:path>", downloads.raw, DISK, name="file_raw"),
    path("disks/<uuid:place_id>/file-zip", downloads.zipped, DISK, name="file_zip"),
    path("disks/<uuid:place_id>/file-search", downloads.search, DISK, name="file_search"),
    path("disks/<uuid:disk_id>/trash/list", trash.listing, name="trash_list"),
    path("disks/<uuid:disk_id>/trash/undo/<uuid:deletion>", trash.undo, name="trash_undo"),
    path("disks/<uuid:disk_id>/trash/<slug:action>", trash.act, name="trash_action"),
    path("sandboxes/<uuid:place_id>/file-list", files_api.listing, BOX, name="sandbox_file_list"),
    path("sandboxes/<uuid:place_id>/file-stat", files_api.stat, BOX, name="sandbox_file_stat"),
    path(
        "sandboxes/<uuid:place_id>/file-actions/<slug:action>",
        files_api.act,
        BOX,
        name="sandbox_file_action",
    ),
    path(
        "sandboxes/<uuid:place_id>/file-raw/<anypath:path>",
        downloads.raw,
        BOX,
        name="sandbox_file_raw",
    ),
    path("sandboxes/<uuid:place_id>/file-zip", downloads.zipped, BOX, name="sandbox_file_zip"),
    path(
        "sandboxes/<uuid:place_id>/file-search", downloads.search, BOX, name="sandbox_file_search"
    ),
    path("uploads/", uploads.uploads, name="uploads"),
    path("uploads/<uuid:upload_id>", uploads.upload, name="upload"),
    path("transfer/", transfer_pages.transfer, name="transfer"),
    path("transfer/start/", transfer_pages.start, name="transfer_start"),
    path("transfer/dialog/", transfer_pages.dialog, name="transfer_dialog"),
    path("transfer/clear/", transfer_pages.clear, name="transfer_clear"),
    path("transfer/<uuid:transfer_id>/", transfer_pages.detail, name="transfer_detail"),
    path("transfer/<uuid:transfer_id>/cancel/", transfer_pages.cancel, name="transfer_cancel"),
    path("transfer/<uuid:transfer_id>/again/", transfer_pages.again, name="transfer_again"),
]
