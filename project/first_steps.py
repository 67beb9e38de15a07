"""What somebody does first in a new project. Each step is ticked by what is there."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from disks.models import Disk
from project.models import Project
from sandboxes.models import ALIVE, Sandbox, Terminal


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """Which steps were taken."""

    disk: bool
    sandbox: bool
    terminal: bool
    # A sandbox whose terminal can be opened.
    newest: uuid.UUID | None

    @property
    def all_done(self) -> bool:
        return self.disk and self.sandbox and self.terminal


def of(project: Project) -> FirstSteps:
    """Look which steps were taken. Reads the database."""
    sandboxes = Sandbox.objects.filter(project=project)
    return FirstSteps(
        disk=Disk.objects.filter(project=project).exists(),
        sandbox=sandboxes.exists(),
        terminal=Terminal.objects.filter(sandbox__project=project).exists(),
        newest=sandboxes.filter(status__in=ALIVE)
        .order_by("-created_at")
        .values_list("id", flat=True)
        .first(),
    )
