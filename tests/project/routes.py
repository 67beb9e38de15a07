"""Every page address of the site, with something of a project behind each: for tests of all."""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from disks.models import Disk, Transfer, Upload
from project.keys import create_key
from project.models import Project, Role
from project.policy import add_member
from sandboxes.models import Command, Sandbox, Terminal

# The API has keys, the stock admin has tests of its own.
ELSEWHERE = ("api/", "admin/<")


@dataclass(frozen=True)
class Route:
    """One address: how it is named, written, and what stands in it."""

    name: str
    pattern: str
    parameters: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...]

    @property
    def has_object(self) -> bool:
        return bool(self.parameters)

    @property
    def is_admins(self) -> bool:
        return self.pattern.startswith("admin/")

    def __str__(self) -> str:
        return self.name


def all_routes() -> list[Route]:
    return sorted(_walk(get_resolver().url_patterns, "", ""), key=lambda route: route.name)


def _walk(patterns: list[Any], before: str, namespace: str) -> Iterator[Route]:
    for pattern in patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if pattern.namespace in ("admin", "api"):
                continue
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _walk(pattern.url_patterns, address, inner)
        elif isinstance(pattern, URLPattern) and not address.startswith(ELSEWHERE):
            yield Route(
                f"{namespace}{pattern.name or address}",
                address,
                tuple(pattern.pattern.converters),
                tuple(sorted((key, str(value)) for key, value in pattern.default_args.items())),
            )


@dataclass(frozen=True)
class Things:
    """One of everything that an address can name, all in one project."""

    values: dict[str, object]
    disk: Disk
    sandbox: Sandbox

    def address_of(self, route: Route) -> str:
        """Write the address of a route. A KeyError here: say below what a parameter stands for."""
        address = "/" + route.pattern
        for name in route.parameters:
            value = self._value(name, dict(route.fixed))
            start = address.index("<")
            address = f"{address[:start]}{value}{address[address.index('>') + 1 :]}"
        return address

    def form_of(self, route: Route) -> dict[str, str]:
        """Return what a form would send, where it says what it is about."""
        disk, box = f"disk:{self.disk.pk}:/", f"sandbox:{self.sandbox.pk}:/workspace/"
        return {
            "role": {"role": "viewer"},
            "disks:transfer_start": {"source": disk, "target": box, "names": "a.txt"},
        }.get(route.name, {})

    def headers_of(self, route: Route) -> dict[str, str]:
        """Return the headers without which an address of uploads answers nobody."""
        if not route.pattern.startswith("uploads/"):
            return {}
        told = {"place": "disk", "place_id": str(self.disk.pk), "folder": "/", "filename": "a.txt"}
        pairs = (f"{key} {b64encode(value.encode()).decode()}" for key, value in told.items())
        return {
            "Tus-Resumable": "1.0.0",
            "Upload-Length": "1",
            "Upload-Metadata": ",".join(pairs),
        }

    def names_ours(self, route: Route, method: str) -> bool:
        """Does such a request name something of the project?"""
        in_body = bool(self.form_of(route)) or route.name == "disks:uploads"
        return route.has_object or (method == "POST" and in_body)

    def _value(self, name: str, fixed: dict[str, str]) -> object:
        if name == "place_id":
            return self.disk.pk if fixed.get("kind") == "disk" else self.sandbox.pk
        return self.values[name]


def make_things(project: Project) -> Things:
    """Make one of everything. The sandbox has ended, so that no engine is needed."""
    sandbox = Sandbox.objects.create(
        project=project, name="calm-otter", image="i", cpus=1, memory_bytes=1, workspace_bytes=1,
        pids=1, status="killed", reason="killed",
    )  # fmt: skip
    disk = Disk.objects.create(project=project, name="reports")
    other = User.objects.create_user("somebody-of-the-project")
    key, _ = create_key(project, "nightly-etl")
    values = {
        "project_id": project.pk,
        "sandbox_id": sandbox.pk,
        "disk_id": disk.pk,
        "membership_id": add_member(project, other, Role.MEMBER).pk,
        "key_id": key.pk,
        "terminal_id": Terminal.objects.create(sandbox=sandbox, name="sh").pk,
        "command_id": Command.objects.create(sandbox=sandbox, command="true").pk,
        "transfer_id": _transfer(project, disk, sandbox).pk,
        "deletion": uuid.uuid4(),
        "upload_id": _upload(project, disk).pk,
        "path": "a.txt",
        "action": "delete",
    }
    return Things(values, disk, sandbox)


def _transfer(project: Project, disk: Disk, sandbox: Sandbox) -> Transfer:
    return Transfer.objects.create(
        project=project, source="disk", source_id=disk.pk, source_folder="/", target="sandbox",
        target_id=sandbox.pk, target_folder="/workspace", status="done",
    )  # fmt: skip


def _upload(project: Project, disk: Disk) -> Upload:
    return Upload.objects.create(
        project=project, place="disk", place_id=disk.pk, folder="/", filename="b.txt", size=1,
        created_by="owner", expires_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
