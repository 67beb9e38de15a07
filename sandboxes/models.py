"""Sandboxes, their commands and terminals, what they used, and the files taken from them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from project import words
from project.models import Project


class Status(models.TextChoices):
    """Where a sandbox is in its life. Only lifecycle.py writes it."""

    CREATING = "creating"
    RUNNING = "running"
    PAUSED = "paused"
    # Ended for the caller; its box may not be gone yet.
    STOPPING = "stopping"
    KILLED = "killed"
    ERROR = "error"


ALIVE = (Status.CREATING, Status.RUNNING, Status.PAUSED)
UNFINISHED = (*ALIVE, Status.STOPPING)
DEAD = (Status.KILLED, Status.ERROR)
# How pages show each; how a killed one ended makes a difference there.
SHOWN_STATES = {
    Status.CREATING: "starting",
    Status.RUNNING: "running",
    Status.PAUSED: "paused",
    Status.STOPPING: "stopping",
    Status.ERROR: "failed",
}


# The name of a sandbox's box: this, and its id.
BOX_PREFIX = "sandbank-"


class Reason(models.TextChoices):
    """Why a sandbox ended, kept for good."""

    KILLED = "killed", "it was killed"
    EXPIRED = "expired", "its time was over"
    OUT_OF_MEMORY = "out_of_memory", "it ran out of memory"
    EXITED = "exited", "its box ended by itself"
    LOST = "lost", "the engine lost its box"
    FAILED_TO_START = "failed_to_start", "it could not be started"


class Installation(models.Model):
    """Who we are to an engine that others may use too. One row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    only = models.BooleanField(default=True, unique=True, editable=False)

    def __str__(self) -> str:
        return str(self.id)


class Sandbox(models.Model):
    """One sandbox: what was asked for, where it is in its life, and how it ended."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="sandboxes")
    name = models.CharField(max_length=200, blank=True)
    labels = models.JSONField(default=dict, blank=True)

    image = models.CharField(max_length=300)
    cpus = models.FloatField()
    memory_bytes = models.BigIntegerField()
    workspace_bytes = models.BigIntegerField()
    pids = models.PositiveIntegerField()
    network = models.CharField(max_length=20, default="none")
    environment = models.JSONField(default=dict, blank=True)
    # Are its terminals recorded?
    records_terminals = models.BooleanField(default=False)

    status = models.CharField(max_length=10, choices=Status, default=Status.CREATING)
    reason = models.CharField(max_length=20, choices=Reason, blank=True)
    reason_detail = models.TextField(blank=True)
    created_by = models.CharField(max_length=200, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)

    # How long it lives on after each use; None: for ever.
    lifetime_seconds = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True)
    # Use does not renew it beyond this; None: for ever.
    last_expiry_at = models.DateTimeField(null=True)
    # When the guest ends the box by itself, as it was last told.
    guest_deadline_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # When a scan of the engine first missed the box.
    missed_at = models.DateTimeField(null=True)

    # When this object last renewed its row.
    renewed_at: datetime | None = None

    class Meta:
        ordering = ("created_at", "id")
        verbose_name_plural = "sandboxes"
        indexes = (
            models.Index(fields=("project", "created_at", "id"), name="sandbox_page"),
            models.Index(fields=("project", "status", "created_at"), name="sandbox_by_status"),
            models.Index(
                fields=("status", "expires_at"),
                name="sandbox_unfinished",
                condition=models.Q(status__in=UNFINISHED),
            ),
            models.Index(
                fields=("ended_at", "id"),
                name="sandbox_by_end",
                condition=models.Q(ended_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return words.seen(self.name) or str(self.id)[:8]

    @property
    def box_name(self) -> str:
        return f"{BOX_PREFIX}{self.id}"

    @staticmethod
    def id_of_box(name: str) -> uuid.UUID | None:
        """Return whose box it is by its name; None if it is no sandbox's."""
        try:
            return uuid.UUID(name.removeprefix(BOX_PREFIX))
        except ValueError:
            return None

    @property
    def is_alive(self) -> bool:
        return self.status in ALIVE

    @property
    def state(self) -> str:
        """Its state as pages draw it: running, starting, stopping, paused, stopped, expired, failed."""
        if self.status == Status.KILLED:
            return "expired" if self.reason == Reason.EXPIRED else "stopped"
        return SHOWN_STATES[Status(self.status)]

    @property
    def state_word(self) -> str:
        return "Stopping…" if self.status == Status.STOPPING else self.state.capitalize()

    def renewed_expiry(self, now: datetime) -> datetime | None:
        """Return when it expires if it is used now; None: never."""
        if self.lifetime_seconds is None:
            return None
        expiry = now + timedelta(seconds=self.lifetime_seconds)
        return min(expiry, self.last_expiry_at) if self.last_expiry_at else expiry


class Door(models.TextChoices):
    """By which way somebody came."""

    API = "api", "API"
    BROWSER = "browser"


class CommandStatus(models.TextChoices):
    RUNNING = "running"
    EXITED = "exited"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    # It ran, and nobody can tell how it ended.
    UNKNOWN = "unknown"
    # It never ran.
    FAILED = "failed"


class Command(models.Model):
    """The history row of one non-interactive process: written before it runs."""

    class Kind(models.TextChoices):
        # The caller waits for its end.
        EXEC = "exec"
        # It goes on by itself.
        PROCESS = "process"

    # The guest knows the process by this id.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sandbox = models.ForeignKey(Sandbox, on_delete=models.CASCADE, related_name="commands")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.EXEC)
    command = models.TextField()
    cwd = models.TextField(blank=True)
    requested_by = models.CharField(max_length=200, blank=True)
    door = models.CharField(max_length=10, choices=Door, default=Door.API)

    status = models.CharField(max_length=10, choices=CommandStatus, default=CommandStatus.RUNNING)
    exit_code = models.IntegerField(null=True)
    out_of_memory = models.BooleanField(default=False)
    truncated = models.BooleanField(default=False)
    # The first and the last part of each stream, as text.
    stdout = models.TextField(blank=True)
    stderr = models.TextField(blank=True)
    stdout_bytes = models.BigIntegerField(default=0)
    stderr_bytes = models.BigIntegerField(default=0)
    detail = models.TextField(blank=True)

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When its time is over; the guest ends it then.
    deadline_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    duration_ms = models.BigIntegerField(null=True)

    class Meta:
        ordering = ("created_at", "id")
        indexes = (
            models.Index(fields=("sandbox", "created_at", "id"), name="command_page"),
            models.Index(
                fields=("sandbox",),
                name="command_running",
                condition=models.Q(status="running"),
            ),
        )

    def __str__(self) -> str:
        return self.command[:80]

    @property
    def process_id(self) -> str:
        return self.id.hex


class Terminal(models.Model):
    """A process with a PTY. It lives in the guest; this row remembers it for good."""

    class Reason(models.TextChoices):
        EXITED = "exit", "its shell ended"
        KILLED = "killed", "it was closed"
        STOPPED = "stopped", "its sandbox ended"
        IDLE = "idle", "nobody used it"

    # The guest knows the process by this id.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sandbox = models.ForeignKey(Sandbox, on_delete=models.CASCADE, related_name="terminals")
    name = models.CharField(max_length=100)
    # The command it runs; empty: the best shell that the image has.
    command = models.TextField(blank=True)
    started_by = models.CharField(max_length=200, blank=True)
    rows = models.PositiveSmallIntegerField(default=24)
    columns = models.PositiveSmallIntegerField(default=80)
    recorded = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When somebody last looked at it, to the minute.
    seen_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True)
    exit_code = models.IntegerField(null=True)
    reason = models.CharField(max_length=10, choices=Reason, blank=True)

    class Meta:
        ordering = ("created_at", "id")
        indexes = (
            models.Index(
                fields=("sandbox",),
                name="terminal_open",
                condition=models.Q(ended_at__isnull=True),
            ),
            models.Index(
                fields=("sandbox",),
                name="terminal_recorded",
                condition=models.Q(recorded=True),
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def process_id(self) -> str:
        return self.id.hex


class RecordingPart(models.Model):
    """Some lines of a terminal's recording: asciicast v3 events, one to a line."""

    terminal = models.ForeignKey(Terminal, on_delete=models.CASCADE, related_name="recording_parts")
    # The offset in the terminal's output behind this part: from there the recording goes on.
    end = models.BigIntegerField()
    # Seconds from the recording's start to this part's last event.
    seconds = models.FloatField()
    lines = models.TextField()

    class Meta:
        ordering = ("end",)
        constraints = (
            models.UniqueConstraint(fields=("terminal", "end"), name="one_recording_part"),
        )

    def __str__(self) -> str:
        return f"{self.terminal}: up to {self.end}"


class UsageSample(models.Model):
    """What a sandbox used at one moment."""

    sandbox = models.ForeignKey(Sandbox, on_delete=models.CASCADE, related_name="usage_samples")
    at = models.DateTimeField(default=timezone.now)
    # Of one core, since the sample before: 150 is one and a half cores.
    cpu_percent = models.FloatField()
    memory_bytes = models.BigIntegerField()
    workspace_bytes = models.BigIntegerField()
    processes = models.PositiveIntegerField()

    class Meta:
        ordering = ("at",)
        indexes = (models.Index(fields=("sandbox", "at"), name="usage_page"),)

    def __str__(self) -> str:
        return f"{self.sandbox} at {self.at}"


class GeneratedFile(models.Model):
    """A file that was copied from a sandbox to a disk."""

    sandbox = models.ForeignKey(Sandbox, on_delete=models.CASCADE, related_name="generated_files")
    path = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("created_at", "id")

    def __str__(self) -> str:
        return self.path
