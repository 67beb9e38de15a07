"""What a caller may ask of a new sandbox, held against the operator's limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.conf import settings

from project import words
from project.errors import Invalid
from sandboxes.engine import profile

MIB = 2**20
MIN_CPUS = 0.05
MIN_WORKSPACE_BYTES = 1 * MIB
MIN_SECONDS = 10
MAX_NAME = 200
MAX_LABELS = 50
MAX_LABEL_LENGTH = 200
MAX_VARIABLES = 100
MAX_VARIABLES_BYTES = 64 * 1024
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
NEVER = "never"
# What a larger workspace leaves to the folders beside it.
SCRATCH_BYTES = 128 * MIB


@dataclass(frozen=True, slots=True)
class NewSandbox:
    """A wish for a sandbox. None means: as the operator's settings say."""

    image: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    # Seconds it lives on after each use, or "never".
    timeout: int | str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cpu: float | None = None
    memory: int | None = None
    workspace_size: int | None = None
    network: str = "none"
    records_terminals: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The resources a sandbox gets, within what the operator allows."""

    cpus: float
    memory_bytes: int
    workspace_bytes: int
    lifetime_seconds: int | None


def limits_for(wish: NewSandbox) -> Limits:
    """Return what the sandbox gets. Raises Invalid naming the bound that was crossed."""
    check_name(wish.name)
    check_labels(wish.labels)
    check_environment(wish.env)
    if wish.network != "none":
        raise Invalid('network: only "none" is offered here')
    memory = _memory_for(wish)
    return Limits(
        cpus=_within("cpu", wish.cpu, settings.SANDBOX_CPUS, MIN_CPUS, settings.SANDBOX_MAX_CPUS),
        memory_bytes=memory,
        workspace_bytes=_workspace_for(wish, memory),
        lifetime_seconds=lifetime(wish.timeout),
    )


def lifetime(timeout: int | str | None) -> int | None:
    """Return for how long a sandbox lives on after use; None is for ever."""
    if timeout == NEVER:
        if not settings.SANDBOX_ALLOW_NEVER:
            raise Invalid('timeout: "never" is not allowed here')
        return None
    if isinstance(timeout, str):
        raise Invalid('timeout: must be a number of seconds, or "never"')
    return int(
        _within(
            "timeout",
            timeout,
            settings.SANDBOX_SECONDS,
            MIN_SECONDS,
            settings.SANDBOX_MAX_SECONDS,
            say=lambda seconds: f"{seconds} seconds",
        )
    )


def _within[N: (int, float)](
    name: str,
    wanted: N | None,
    default: N,
    least: N,
    most: N,
    *,
    say: Callable[[N], str] = str,
) -> N:
    value = default if wanted is None else wanted
    if value != value or value < least:
        raise Invalid(f"{name}: must be {say(least)} at least")
    if value > most:
        raise Invalid(f"{name}: at most {say(most)} is allowed here")
    return value


def _megabytes(count: int) -> str:
    """Write a bound in the unit of the form; whoever asks in bytes gets it right, too."""
    return f"{count // MIB} MB"


def _memory_for(wish: NewSandbox) -> int:
    """A larger workspace brings the memory it needs, unless the caller said how much."""
    default: int = settings.SANDBOX_MEMORY_BYTES
    most: int = settings.SANDBOX_MAX_MEMORY_BYTES
    if wish.memory is None and wish.workspace_size is not None:
        default = max(default, 2 * (wish.workspace_size + SCRATCH_BYTES))
        if default > most:
            raise Invalid(
                f"workspace_size: its files live in memory, twice as much of which is needed;"
                f" at most {_megabytes(most)} is allowed here"
            )
    return _within("memory", wish.memory, default, profile.LEAST_MEMORY, most, say=_megabytes)


def _workspace_for(wish: NewSandbox, memory: int) -> int:
    """Files live in memory, and half of it is kept for processes."""
    largest = memory // 2 - profile.LEAST_SCRATCH_BYTES
    if wish.workspace_size is None:
        return int(min(settings.SANDBOX_WORKSPACE_BYTES, memory // 2 - memory // 8))
    workspace: int = _within(
        "workspace_size",
        wish.workspace_size,
        settings.SANDBOX_WORKSPACE_BYTES,
        MIN_WORKSPACE_BYTES,
        settings.SANDBOX_MAX_WORKSPACE_BYTES,
        say=_megabytes,
    )
    if workspace > largest:
        raise Invalid(
            f"workspace_size: files live in memory, so {_megabytes(memory)} of memory"
            f" have room for a workspace of {_megabytes(largest)} at most"
        )
    return workspace


def check_name(name: str) -> None:
    """Raise Invalid for a name that pages and logs could not show as it is."""
    if len(name) > MAX_NAME:
        raise Invalid(f"name: {MAX_NAME} characters at most")
    if words.UNSEEN.search(name):
        raise Invalid(
            "name: line breaks, other control characters and those that turn the direction"
            " of text are not allowed"
        )


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise Invalid for labels that are too many, too long, or could not be searched for."""
    if len(labels) > MAX_LABELS:
        raise Invalid(f"labels: at most {MAX_LABELS}")
    for name, value in labels.items():
        if len(name) > MAX_LABEL_LENGTH or len(value) > MAX_LABEL_LENGTH:
            raise Invalid(f"labels: names and values have {MAX_LABEL_LENGTH} characters at most")
        if not LABEL.fullmatch(name):
            raise Invalid(
                f"labels: {name!r} is no name: a letter, then letters, digits, and any of . _ - /"
            )
        if "\x00" in value or not words.is_whole(value):
            raise Invalid(f"labels: the value of {name} holds a NUL or half a character")


def check_environment(variables: Mapping[str, str]) -> None:
    """Raise Invalid for variables that a process could not be given."""
    if len(variables) > MAX_VARIABLES:
        raise Invalid(f"env: at most {MAX_VARIABLES} variables")
    for name, value in variables.items():
        if not words.is_whole(value):
            raise Invalid(f"env: the value of {name} holds half a character")
    if sum(len(n) + len(v.encode()) for n, v in variables.items()) > MAX_VARIABLES_BYTES:
        raise Invalid("env: at most 64 KiB in all")
    for name, value in variables.items():
        if not VARIABLE.fullmatch(name):
            raise Invalid(f"env: {name!r} is not the name of a variable")
        if "\x00" in value:
            raise Invalid(f"env: the value of {name} holds a NUL character")
