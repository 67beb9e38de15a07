"""How a command ended, in words for people."""

from __future__ import annotations

from dataclasses import dataclass

from project import words
from sandboxes.models import Command, CommandStatus

# Of a badge: the tone it is drawn in, its icon, and its word.
BADGES: dict[str, tuple[str, str, str]] = {
    CommandStatus.RUNNING: ("run", "", "Running"),
    CommandStatus.TIMED_OUT: ("err", "clock", "Timed out"),
    CommandStatus.KILLED: ("warn", "stop", "Killed"),
    CommandStatus.UNKNOWN: ("warn", "info", "Unknown"),
    CommandStatus.FAILED: ("err", "alert", "Not run"),
}
# What the shell, and only the shell, ends with, if it cannot run a command.
NOT_FOUND, NOT_EXECUTABLE = 127, 126
BY_SIGNAL = 128
SIGNALS = {1: "HUP", 2: "INT", 6: "ABRT", 9: "KILL", 11: "SEGV", 13: "PIPE", 15: "TERM"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Says of one command how it ended, or that it runs."""

    row: Command

    @property
    def badge(self) -> tuple[str, str, str]:
        if self.row.status != CommandStatus.EXITED:
            return BADGES[self.row.status]
        code = self.row.exit_code or 0
        return ("err", "x", str(code)) if code else ("ok", "check", "0")

    @property
    def tone(self) -> str:
        return self.badge[0]

    @property
    def icon(self) -> str:
        return self.badge[1]

    @property
    def word(self) -> str:
        return self.badge[2]

    @property
    def words(self) -> str:
        """Say how it ended in a few words, such as `exit 1`."""
        status, code = self.row.status, self.row.exit_code
        if status == CommandStatus.EXITED:
            return f"exit {code}{_meaning(code or 0)}"
        if status == CommandStatus.TIMED_OUT:
            return "its time was over, and it was killed"
        if status == CommandStatus.UNKNOWN:
            return "nobody can tell how it ended"
        return {
            CommandStatus.RUNNING: "running",
            CommandStatus.KILLED: "killed",
            CommandStatus.FAILED: "it did not run",
        }[CommandStatus(status)]

    @property
    def detail(self) -> str:
        """Say what else is known, such as who killed it."""
        known = [self.row.detail] if self.row.detail else []
        if self.row.out_of_memory:
            known.append("the sandbox ran out of memory")
        if self.row.truncated:
            known.append("it said more than is kept of one command")
        return "; ".join(known)

    def as_words(self) -> dict[str, str]:
        """Return what a page that followed the command writes at its end."""
        return {
            "state": self.tone,
            "icon": self.icon,
            "word": self.word,
            "words": self.words,
            "detail": self.detail,
            "duration": words.duration((self.row.duration_ms or 0) / 1000),
        }


def _meaning(code: int) -> str:
    if code == NOT_FOUND:
        return ", command not found"
    if code == NOT_EXECUTABLE:
        return ", not executable"
    name = SIGNALS.get(code - BY_SIGNAL)
    return f", ended by the signal {name}" if name else ""
