"""The admin pages of sandboxes and their history. What the product decides is only shown."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from project.admin import ReadOnly
from project.errors import Refused
from sandboxes import lifecycle
from sandboxes.models import Command, GeneratedFile, Installation, Sandbox


@admin.register(Sandbox)
class SandboxAdmin(ReadOnly):
    list_display = (
        "id",
        "name",
        "project",
        "status",
        "reason",
        "image",
        "created_at",
        "expires_at",
    )
    list_filter = ("status", "reason", "project")
    search_fields = ("id", "name")
    date_hierarchy = "created_at"
    actions = ("kill",)

    @admin.action(description="Kill the selected sandboxes", permissions=["kill"])
    def kill(self, request: HttpRequest, queryset: QuerySet[Sandbox]) -> None:
        for sandbox in queryset:
            try:
                async_to_sync(lifecycle.kill)(sandbox, by=f"{request.user} in the admin panel")
            except Refused as refusal:
                messages.error(request, f"{sandbox}: {refusal.message}")
            else:
                messages.success(request, f"{sandbox}: killed")

    def has_kill_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sandboxes.delete_sandbox")


@admin.register(Command)
class CommandAdmin(ReadOnly):
    list_display = (
        "command",
        "sandbox",
        "kind",
        "status",
        "exit_code",
        "created_at",
        "duration_ms",
    )
    list_filter = ("status", "kind")
    search_fields = ("sandbox__id", "command")


@admin.register(GeneratedFile)
class GeneratedFileAdmin(ReadOnly):
    list_display = ("path", "sandbox", "created_at")


@admin.register(Installation)
class InstallationAdmin(ReadOnly):
    list_display = ("id",)
