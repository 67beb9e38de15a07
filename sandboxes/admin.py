"""The admin pages of sandboxes and what happened in them. What the product decides is only shown."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from project import words
from project.admin.base import ReadOnly, asks, count_of, link, text_block
from project.errors import Conflict
from project.templatetags.sandbank import icon
from sandboxes import lifecycle, listing, terminals
from sandboxes.access import how_it_ended
from sandboxes.images import short_name
from sandboxes.models import (
    UNFINISHED,
    Command,
    GeneratedFile,
    Installation,
    Sandbox,
    Terminal,
    UsageSample,
)

HOUR = 3600


class OfASandbox(ReadOnly):
    """Rows that belong to a sandbox."""

    list_select_related = ("sandbox",)

    def project_of(self, row: Any) -> uuid.UUID | None:
        project_id: uuid.UUID = row.sandbox.project_id
        return project_id


class StateFilter(admin.SimpleListFilter):
    """Sandboxes by their state, in the words of the column."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, words) for state, (words, _) in listing.STATES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Sandbox]) -> QuerySet[Sandbox]:
        state = self.value()
        return queryset.filter(listing.STATES[state][1]) if state in listing.STATES else queryset


@admin.register(Sandbox)
class SandboxAdmin(ReadOnly):
    list_display = (
        "name_or_id",
        "state",
        "project",
        "short_image",
        "commands",
        "created_by",
        "created_at",
        "expires_at",
        "page",
    )
    list_filter = (StateFilter, "reason", "project", "image")
    list_select_related = ("project",)
    search_fields = ("id", "name", "created_by")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    actions = ("kill", "extend", "pause", "resume")
    fieldsets = (
        (None, {"fields": ("id", "name", "project", "labels", "state", "how_it_ended", "page")}),
        (
            "What it was asked to be",
            {
                "fields": (
                    "image",
                    "cpus",
                    "memory",
                    "workspace",
                    "pids",
                    "network",
                    "variables",
                    "records_terminals",
                    "lifetime_seconds",
                )
            },
        ),
        (
            "Its life",
            {
                "fields": (
                    "created_by",
                    "created_at",
                    "updated_at",
                    "expires_at",
                    "last_expiry_at",
                    "guest_deadline_at",
                    "missed_at",
                    "ended_at",
                    "ended_by",
                    "commands",
                    "box_name",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sandbox]:
        sandboxes: QuerySet[Sandbox] = super().get_queryset(request)
        return sandboxes.annotate(commands_count=count_of(Command.objects.all(), "sandbox"))

    @admin.display(description="name", ordering="name")
    def name_or_id(self, sandbox: Sandbox) -> str:
        return str(sandbox)

    @admin.display(ordering="status")
    def state(self, sandbox: Sandbox) -> SafeString:
        return format_html(
            '<span class="state" data-state="{}">{}{}</span>',
            sandbox.state,
            icon(f"s-{sandbox.state}"),
            sandbox.state_word,
        )

    @admin.display(description="image", ordering="image")
    def short_image(self, sandbox: Sandbox) -> SafeString:
        return format_html('<span title="{}">{}</span>', sandbox.image, short_name(sandbox.image))

    @admin.display(description="how it ended")
    def how_it_ended(self, sandbox: Sandbox) -> str:
        return "–" if sandbox.is_alive else how_it_ended(sandbox)

    @admin.display(ordering="commands_count")
    def commands(self, sandbox: Sandbox) -> SafeString:
        listed = reverse("admin:sandboxes_command_changelist")
        return link(
            f"{listed}?sandbox__id__exact={sandbox.pk}",
            sandbox.commands_count,  # type: ignore[attr-defined]
        )

    @admin.display
    def memory(self, sandbox: Sandbox) -> str:
        return words.size(sandbox.memory_bytes)

    @admin.display
    def workspace(self, sandbox: Sandbox) -> str:
        return words.size(sandbox.workspace_bytes)

    @admin.display(description="in Sandbank")
    def page(self, sandbox: Sandbox) -> SafeString:
        return link(f"/sandboxes/{sandbox.pk}/", "Open")

    @admin.display(description="variables")
    def variables(self, sandbox: Sandbox) -> str:
        # The names alone: values are often passwords.
        return ", ".join(sorted(sandbox.environment)) or "–"

    @admin.action(description="Stop the selected sandboxes…", permissions=["kill"])
    @asks(
        "Stop sandboxes?",
        "Their processes end and their files are lost. Files that were copied to disks are kept.",
        "Stop",
        only=lambda sandboxes: sandboxes.filter(status__in=UNFINISHED),
    )
    def kill(self, request: HttpRequest, queryset: QuerySet[Sandbox]) -> None:
        by = f"{request.user.get_username()} in the admin panel"

        async def kill(sandbox: Sandbox) -> None:
            with suppress(lifecycle.EndsLater):
                if not await lifecycle.kill(sandbox, by=by):
                    raise Conflict(how_it_ended(sandbox))

        self.act(request, queryset, "sandbox.kill", kill, "Stopped")

    @admin.action(description="Extend by 1 hour", permissions=["kill"])
    def extend(self, request: HttpRequest, queryset: QuerySet[Sandbox]) -> None:
        async def extend(sandbox: Sandbox) -> None:
            if not sandbox.is_alive:
                raise Conflict(how_it_ended(sandbox))
            await lifecycle.extend(sandbox, lifecycle.longer(sandbox, HOUR))

        self.act(request, queryset, "sandbox.extend", extend, "Extended")

    @admin.action(description="Pause", permissions=["kill"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Sandbox]) -> None:
        self.act(request, queryset, "sandbox.pause", lifecycle.pause, "Paused")

    @admin.action(description="Resume", permissions=["kill"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Sandbox]) -> None:
        self.act(request, queryset, "sandbox.resume", lifecycle.resume, "Resumed")

    def has_kill_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sandboxes.delete_sandbox")


@admin.register(Command)
class CommandAdmin(OfASandbox):
    list_display = (
        "short",
        "sandbox",
        "kind",
        "door",
        "requested_by",
        "status",
        "exit_code",
        "created_at",
        "duration_ms",
    )
    list_filter = ("status", "kind", "door")
    search_fields = ("=id", "=sandbox__id", "sandbox__name", "command", "requested_by")
    ordering = ("-created_at",)
    date_hierarchy = "created_at"
    fields = (
        "id",
        "sandbox",
        "kind",
        "door",
        "requested_by",
        "whole",
        "cwd",
        "status",
        "exit_code",
        "out_of_memory",
        "detail",
        "created_at",
        "deadline_at",
        "finished_at",
        "duration_ms",
        "stdout_kept",
        "stdout_bytes",
        "stderr_kept",
        "stderr_bytes",
        "truncated",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Command]:
        commands: QuerySet[Command] = super().get_queryset(request)
        place = request.resolver_match
        # A list has no need of what each of them said.
        is_list = place is not None and str(place.url_name).endswith("changelist")
        return commands.defer("stdout", "stderr") if is_list else commands

    @admin.display(description="command")
    def short(self, command: Command) -> str:
        return str(command) or "–"

    @admin.display(description="command")
    def whole(self, command: Command) -> SafeString | str:
        return text_block(command.command)

    @admin.display(description="stdout")
    def stdout_kept(self, command: Command) -> SafeString | str:
        return text_block(command.stdout)

    @admin.display(description="stderr")
    def stderr_kept(self, command: Command) -> SafeString | str:
        return text_block(command.stderr)


@admin.register(Terminal)
class TerminalAdmin(OfASandbox):
    list_display = ("name", "sandbox", "started_by", "created_at", "seen_at", "ended_at", "reason")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "reason")
    search_fields = ("=id", "=sandbox__id", "name", "started_by")
    ordering = ("-created_at",)
    actions = ("close",)

    @admin.action(description="Close the selected terminals…", permissions=["close"])
    @asks(
        "Close terminals?",
        "What runs in them ends. Files in the sandboxes are kept.",
        "Close",
        only=lambda terminals: terminals.filter(ended_at=None),
    )
    def close(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        async def close(terminal: Terminal) -> None:
            await terminals.close(terminal.sandbox, terminal)

        rows = queryset.select_related("sandbox")
        self.act(request, rows, "terminal.close", close, "Closed")

    def has_close_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sandboxes.delete_terminal")


@admin.register(UsageSample)
class UsageSampleAdmin(OfASandbox):
    list_display = ("at", "sandbox", "cpu_percent", "memory_bytes", "workspace_bytes", "processes")
    search_fields = ("=sandbox__id", "sandbox__name")
    ordering = ("-at",)


@admin.register(GeneratedFile)
class GeneratedFileAdmin(OfASandbox):
    list_display = ("path", "sandbox", "created_at")
    search_fields = ("path", "=sandbox__id")


@admin.register(Installation)
class InstallationAdmin(ReadOnly):
    list_display = ("id",)
