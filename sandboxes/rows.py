"""One sandbox as a row of a list shows it: in words and with the line of its last minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from project import words
from sandboxes.access import end_of
from sandboxes.images import short_name
from sandboxes.models import Command, Sandbox, Status
from sandboxes.outcome import Outcome

# What the line covers, and for how long a sample tells of now.
SPARK = timedelta(seconds=60)
FRESH = timedelta(seconds=30)
SPARK_WIDTH, SPARK_HEIGHT = 64, 18
# With less than this left, the time left is a warning.
TIGHT = timedelta(minutes=5)
BUSY_PERCENT = 90


@dataclass(slots=True)
class Use:
    """What a sandbox used of late: its shares of one core with their age, oldest first."""

    shares: list[tuple[float, float]] = field(default_factory=list)
    cpu_percent: float | None = None
    memory_bytes: int | None = None


class Glance:
    """What a list and the head of a page both tell of a sandbox."""

    __slots__ = ()
    sandbox: Sandbox

    @property
    def state_icon(self) -> str:
        return f"s-{self.sandbox.state}"

    @property
    def image(self) -> str:
        """Its image in short; the whole name is in the title."""
        return short_name(self.sandbox.image)

    @property
    def is_running(self) -> bool:
        return self.sandbox.status == Status.RUNNING

    @property
    def is_tight(self) -> bool:
        expiry = self.sandbox.expires_at
        return bool(self.sandbox.is_alive and expiry and expiry - timezone.now() < TIGHT)


@dataclass(frozen=True, slots=True)
class Row(Glance):
    """One sandbox, with what is known of it elsewhere."""

    sandbox: Sandbox
    use: Use
    command: Command | None

    @property
    def shows_use(self) -> bool:
        """Is there usage to show, or words in its place?"""
        return self.is_running

    @property
    def shows_time_left(self) -> bool:
        return self.sandbox.status in (Status.RUNNING, Status.PAUSED)

    @property
    def cpu(self) -> int | None:
        """The share in percent of the CPUs it may use."""
        if self.use.cpu_percent is None:
            return None
        return round(self.use.cpu_percent / self.sandbox.cpus)

    @property
    def is_busy(self) -> bool:
        return (self.cpu or 0) >= BUSY_PERCENT

    @property
    def line(self) -> str:
        """The points of the line, the present at the right."""
        full = 100 * self.sandbox.cpus
        points = []
        for age, percent in self.use.shares:
            x = SPARK_WIDTH * max(0.0, 1 - age / SPARK.total_seconds())
            y = SPARK_HEIGHT * (1 - min(1.0, percent / full))
            points.append(f"{x:.1f},{y:.1f}")
        return " ".join(points)

    @property
    def area(self) -> str:
        """The points of the area under the line."""
        line = self.line.split(" ")
        first, last = line[0].partition(",")[0], line[-1].partition(",")[0]
        return f"{first},{SPARK_HEIGHT} {self.line} {last},{SPARK_HEIGHT}"

    @property
    def memory(self) -> tuple[str, str]:
        """What is used and what there is, such as `("212", "512 MB")`."""
        used, limit = words.size(self.use.memory_bytes or 0), words.size(self.sandbox.memory_bytes)
        number, _, unit = used.partition(" ")
        return (number if limit.endswith(f" {unit}") else used), limit

    @property
    def memory_low(self) -> int:
        return self.sandbox.memory_bytes * 3 // 4

    @property
    def memory_high(self) -> int:
        return self.sandbox.memory_bytes * 9 // 10

    @property
    def why(self) -> str:
        """What stands in place of usage: how it ended, or what it waits for."""
        sandbox = self.sandbox
        if sandbox.status == Status.CREATING:
            return "Its box is being made"
        if sandbox.status == Status.PAUSED:
            return "Paused; its time runs on"
        how = end_of(sandbox)
        how = how[:1].upper() + how[1:]
        if sandbox.ended_at is not None:
            how += f" {words.ago((timezone.now() - sandbox.ended_at).total_seconds())}"
        return f"{how}: {sandbox.reason_detail}" if sandbox.reason_detail else how

    @property
    def outcome(self) -> Outcome | None:
        """How its last command ended, or that it runs."""
        return Outcome(self.command) if self.command else None
