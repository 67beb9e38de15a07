"""Transfers as pages show them: their progress in words, and where their two sides are."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Case, Count, IntegerField, QuerySet, Value, When
from django.utils import timezone

from disks import jobs
from disks.copying import PAUSED
from disks.jobs import Status
from disks.models import OnConflict, Transfer
from project import words
from project.models import Project

SHOWN = 20
ICONS = {
    Status.WAITING: ("clock", ""),
    Status.RUNNING: ("arrow-right", ""),
    Status.DONE: ("check", "ok"),
    Status.CANCELLED: ("x", ""),
    Status.FAILED: ("alert", "err"),
}
WORDS = {
    Status.WAITING: "Waiting",
    Status.RUNNING: "Running",
    Status.DONE: "Done",
    Status.CANCELLED: "Cancelled",
    Status.FAILED: "Failed",
}
POLICIES = {
    OnConflict.REPLACE: "replace it",
    OnConflict.SKIP: "skip it",
    OnConflict.RENAME: "keep both",
}


@dataclass(frozen=True, slots=True)
class JobRow:
    """One transfer and the words for it."""

    transfer: Transfer

    @property
    def status(self) -> Status:
        return Status(self.transfer.status)

    @property
    def is_unfinished(self) -> bool:
        return self.status in jobs.UNFINISHED

    @property
    def is_stopping(self) -> bool:
        return self.status == Status.RUNNING and self.transfer.cancel_requested

    @property
    def is_paused(self) -> bool:
        return self.status == Status.RUNNING and self.transfer.current == PAUSED

    @property
    def had_problems(self) -> bool:
        return self.status == Status.DONE and bool(self.transfer.problems)

    @property
    def icon(self) -> str:
        return "alert" if self.had_problems else ICONS[self.status][0]

    @property
    def tone(self) -> str:
        return "warn" if self.had_problems else ICONS[self.status][1]

    @property
    def word(self) -> str:
        if self.is_stopping:
            return "Cancelling…"
        if self.is_paused:
            return WORDS[Status.WAITING]
        if self.status == Status.DONE and self.transfer.files_failed:
            return "Done with problems"
        return WORDS[self.status]

    @property
    def source(self) -> str:
        return f"{self.transfer.source}:{self.transfer.source_id}:{self.transfer.source_folder}"

    @property
    def target(self) -> str:
        return f"{self.transfer.target}:{self.transfer.target_id}:{self.transfer.target_folder}"

    @property
    def policy(self) -> str:
        return POLICIES[OnConflict(self.transfer.on_conflict)]

    @property
    def what(self) -> str:
        """Name what is copied: its one name, or how many there are."""
        names = self.transfer.names
        return names[0] if len(names) == 1 else words.plural(len(names), "item")

    @property
    def seconds(self) -> float:
        """How long it has run."""
        transfer = self.transfer
        if transfer.started_at is None:
            return 0.0
        end = transfer.finished_at or timezone.now()
        return max(0.0, (end - transfer.started_at).total_seconds())

    @property
    def amount(self) -> str:
        """How much is done of how much."""
        transfer = self.transfer
        if not transfer.files_total:
            return "Counting…"
        handled = transfer.files_done + transfer.files_skipped + transfer.files_failed
        done, total = words.size(transfer.bytes_done), words.size(transfer.bytes_total)
        return f"{done} of {total} · {handled:,} of {words.plural(transfer.files_total, 'file')}"

    @property
    def pace(self) -> str:
        """How fast it goes, and when it will be done."""
        transfer = self.transfer
        if self.seconds < 1 or not transfer.bytes_done or self.is_paused:
            return ""
        rate = transfer.bytes_done / self.seconds
        left = (transfer.bytes_total - transfer.bytes_done) / rate
        return f"{words.size(rate)}/s · {_about(left)} left"

    @property
    def took(self) -> str:
        transfer = self.transfer
        if not transfer.bytes_done:
            return ""
        return f"{words.size(transfer.bytes_done)} in {words.duration(self.seconds)}"

    @property
    def result(self) -> str:
        """How it ended, with the first thing that went wrong."""
        text = jobs.result_of(self.transfer)
        if self.had_problems:
            first = self.transfer.problems[0]
            name = first["path"].rpartition("/")[2]
            text += f": {name}: {first['why']}"
            if len(self.transfer.problems) > 1:
                text += ", …"
        return text[:1].upper() + text[1:]

    @property
    def has_brought(self) -> bool:
        """Is there something of it to see in the folder where it went?"""
        return bool(self.transfer.files_done) or jobs.brought_only_folders(self.transfer)

    @property
    def problems_left_out(self) -> int:
        transfer = self.transfer
        return max(0, transfer.files_skipped + transfer.files_failed - len(transfer.problems))


def _about(seconds: float) -> str:
    """Write a time nobody knows exactly."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < words.MINUTE else words.duration(whole)


def rows_of(project: Project) -> list[JobRow]:
    """Return the transfers of a project: what runs, what waits, and what ended last."""
    return [JobRow(transfer) for transfer in _in_order(project)[:SHOWN]]


def _in_order(project: Project) -> QuerySet[Transfer]:
    rank = Case(
        When(status=Status.RUNNING, then=Value(0)),
        When(status=Status.WAITING, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    return Transfer.objects.filter(project=project).order_by(rank, "-created_at", "id")


def summary_of(project: Project) -> str:
    """Say how many transfers there are, by what they do."""
    rows = Transfer.objects.filter(project=project).order_by()
    found = dict(rows.values_list("status").annotate(Count("pk")))
    running, waiting = found.pop(Status.RUNNING, 0), found.pop(Status.WAITING, 0)
    counts = [(running, "running"), (waiting, "waiting"), (sum(found.values()), "finished")]
    return ", ".join(f"{count:,} {word}" for count, word in counts if count)
