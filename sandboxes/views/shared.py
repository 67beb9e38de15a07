"""What the pages of one sandbox share: finding it, and the head above its tabs."""

from __future__ import annotations

import uuid
from functools import cached_property

from django.conf import settings
from django.utils import timezone

from project import database
from project.errors import NotFound
from project.pages import PageRequest, enter
from project.policy import Right
from sandboxes.access import end_of
from sandboxes.models import CommandStatus, Sandbox, Status, UsageSample
from sandboxes.rows import Glance

EXTENSIONS = (
    (30 * 60, "30 minutes"),
    (60 * 60, "1 hour"),
    (4 * 60 * 60, "4 hours"),
)


async def find_sandbox(
    request: PageRequest, sandbox_id: uuid.UUID, right: Right = Right.LOOK
) -> Sandbox:
    """Return a sandbox in any state and go on in its project.

    Raises NotFound, for a stranger's as for a missing one, and Forbidden.
    """
    sandbox = await database.read(_by_id, sandbox_id)
    await enter(request, sandbox.project_id, right)
    return sandbox


def _by_id(sandbox_id: uuid.UUID) -> Sandbox:
    sandbox = Sandbox.objects.select_related("project").filter(pk=sandbox_id).first()
    if sandbox is None:
        # In the words that a stranger's gets.
        raise NotFound("there is no such page, or it is in a project you are not a member of")
    return sandbox


def url_of(sandbox: Sandbox, tab: str = "") -> str:
    """Return the address of a sandbox's page, or of one of its tabs."""
    return f"/sandboxes/{sandbox.pk}/{tab}{'/' if tab else ''}"


class Head(Glance):
    """What stands above every tab of a sandbox. Looks up what a template asks for, once."""

    extensions = EXTENSIONS

    def __init__(self, sandbox: Sandbox, tab: str) -> None:
        self.sandbox = sandbox
        self.tab = tab

    @property
    def is_paused(self) -> bool:
        return self.sandbox.status == Status.PAUSED

    @property
    def is_over(self) -> bool:
        return not self.sandbox.is_alive

    @property
    def allows_never(self) -> bool:
        return bool(settings.SANDBOX_ALLOW_NEVER)

    @property
    def longest_minutes(self) -> int:
        return int(settings.SANDBOX_MAX_SECONDS) // 60

    @property
    def lived_seconds(self) -> float:
        end = self.sandbox.ended_at or timezone.now()
        return max(0.0, (end - self.sandbox.created_at).total_seconds())

    @property
    def how_it_ended(self) -> str:
        """Say why and by whom it ended; empty while it lives. The page adds when."""
        how = end_of(self.sandbox)
        return how[:1].upper() + how[1:] if self.is_over else ""

    @cached_property
    def usage(self) -> UsageSample | None:
        return self.sandbox.usage_samples.order_by("-at").first()

    @cached_property
    def commands(self) -> int:
        return self.sandbox.commands.count()

    @cached_property
    def terminals(self) -> int:
        """How many terminals are open."""
        return self.sandbox.terminals.filter(ended_at__isnull=True).count()

    @cached_property
    def processes(self) -> int:
        """How many commands and terminals would be lost with it."""
        running = self.sandbox.commands.filter(status=CommandStatus.RUNNING).count()
        return running + self.terminals

    @property
    def loss(self) -> str:
        """Say what stopping it costs."""
        count = self.processes
        running = "" if not count else f" and {count} running process{'es' if count > 1 else ''}"
        verb = "are" if count else "are all"
        return f"The files in it{running} {verb} lost. Disks are kept."


def context_for(sandbox: Sandbox, tab: str, **more: object) -> dict[str, object]:
    """Return what `sandboxes/frame.html` needs, and more.

    `tab` is overview, terminal, files, commands or settings.
    """
    return {"sandbox": sandbox, "tab": tab, "head": Head(sandbox, tab), **more}
