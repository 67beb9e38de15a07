"""A sandbox as a form describes it: what was typed, and the wish that it comes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.http import QueryDict

from project import words
from project.errors import Invalid
from project.pages import sentence
from sandboxes import images, names
from sandboxes.models import Sandbox
from sandboxes.options import MIB, MIN_SECONDS, NEVER, Limits, NewSandbox, limits_for

DEFAULT_IMAGE = "default"
CUSTOM = "custom"
MINUTE, HOUR = 60, 3600
LIFETIMES = (15 * MINUTE, 30 * MINUTE, HOUR, 8 * HOUR)
# Rows for variables and labels that a page without scripts has to spare.
SPARE_ROWS = 3
# Which field of the form a refusal's first word is about.
FIELDS = {
    "name": "name",
    "cpu": "cpus",
    "memory": "memory",
    "workspace_size": "workspace",
    "timeout": "lifetime",
    "labels": "labels",
    "env": "environment",
    "image": "image",
    "network": "network",
}

# What is plain text in the form.
TEXTS = (
    "name",
    "image",
    "size",
    "cpus",
    "memory",
    "workspace",
    "lifetime",
    "minutes",
    "network",
)

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Size:
    """A size that is offered by name."""

    name: str
    word: str
    wish: NewSandbox
    limits: Limits

    @property
    def cpus(self) -> str:
        return f"{self.limits.cpus:g} CPU{'' if self.limits.cpus == 1 else 's'}"


def sizes() -> list[Size]:
    """Return small, medium and large: half of what is given by default, that, and several times it."""
    memory = min(4 * settings.SANDBOX_MEMORY_BYTES, settings.SANDBOX_MAX_MEMORY_BYTES)
    offered = (
        (
            "s",
            "Small",
            NewSandbox(cpu=settings.SANDBOX_CPUS / 2, memory=settings.SANDBOX_MEMORY_BYTES // 2),
        ),
        ("m", "Medium", NewSandbox()),
        (
            "l",
            "Large",
            NewSandbox(
                cpu=min(2 * settings.SANDBOX_CPUS, settings.SANDBOX_MAX_CPUS),
                memory=memory,
                workspace_size=min(
                    memory // 2 - memory // 8, int(settings.SANDBOX_MAX_WORKSPACE_BYTES)
                ),
            ),
        ),
    )
    found = []
    for name, word, wish in offered:
        try:
            found.append(Size(name, word, wish, limits_for(wish)))
        except Invalid:
            continue  # The operator's limits have no room for this one.
    return found


def lifetimes() -> list[tuple[int, str]]:
    """Return the lifetimes that are offered, each with its words."""
    seconds = {*LIFETIMES, int(settings.SANDBOX_SECONDS)}
    return [(it, words.span(it)) for it in sorted(seconds) if it <= settings.SANDBOX_MAX_SECONDS]


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in the form, as text."""

    name: str = ""
    image: str = DEFAULT_IMAGE
    size: str = "m"
    cpus: str = ""
    # In MiB, both.
    memory: str = ""
    workspace: str = ""
    # Seconds, `never` or `custom`.
    lifetime: str = ""
    minutes: str = ""
    network: str = "none"
    environment: Pairs = ()
    labels: Pairs = ()
    records: bool = False

    @classmethod
    def new(cls) -> Draft:
        limits = limits_for(NewSandbox())
        return cls(
            name=names.suggest(),
            cpus=f"{limits.cpus:g}",
            memory=str(limits.memory_bytes // MIB),
            workspace=str(limits.workspace_bytes // MIB),
            lifetime=str(settings.SANDBOX_SECONDS),
        )

    @classmethod
    def like(cls, sandbox: Sandbox) -> Draft:
        """Describe one more such sandbox."""
        image = sandbox.image if sandbox.image in settings.SANDBOX_IMAGES else DEFAULT_IMAGE
        seconds = sandbox.lifetime_seconds
        known = seconds in dict(lifetimes())
        return cls(
            name=names.suggest(),
            image=image,
            size=_size_of(sandbox),
            cpus=f"{sandbox.cpus:g}",
            memory=str(sandbox.memory_bytes // MIB),
            workspace=str(sandbox.workspace_bytes // MIB),
            lifetime=NEVER if seconds is None else str(seconds) if known else CUSTOM,
            minutes="" if seconds is None or known else str(-(-seconds // MINUTE)),
            network=sandbox.network,
            environment=tuple(sandbox.environment.items()),
            labels=tuple(sandbox.labels.items()),
            records=sandbox.records_terminals,
        )

    @classmethod
    def of(cls, form: QueryDict) -> Draft:
        """Read what was sent."""
        plain = {name: form.get(name, "").replace("\x00", "").strip() for name in TEXTS}
        return cls(
            **plain,
            environment=_pairs(form.getlist("env_name"), form.getlist("env_value")),
            labels=_pairs(form.getlist("label_name"), form.getlist("label_value")),
            records="records" in form,
        )

    @property
    def environment_rows(self) -> Sequence[tuple[str, str]]:
        return _with_spare(self.environment)

    @property
    def label_rows(self) -> Sequence[tuple[str, str]]:
        return _with_spare(self.labels)

    def wish(self) -> tuple[NewSandbox, dict[str, str]]:
        """Return the wish, and for each field what is wrong with it."""
        errors: dict[str, str] = {}
        wish = NewSandbox(
            image="" if self.image == DEFAULT_IMAGE else self.image,
            name=self.name,
            labels=_unique(self.labels, "labels", errors),
            env=_unique(self.environment, "environment", errors),
            network=self.network or "none",
            records_terminals=self.records,
        )
        wish = self._with_lifetime(self._with_size(wish, errors), errors)
        for check in (limits_for, lambda it: images.choose(it.image)):
            try:
                check(wish)
            except Invalid as refusal:
                field, _, problem = refusal.message.partition(": ")
                errors.setdefault(FIELDS[field], sentence(problem))
        return wish, errors

    def _with_size(self, wish: NewSandbox, errors: dict[str, str]) -> NewSandbox:
        if self.size != CUSTOM:
            chosen = next((size for size in sizes() if size.name == self.size), None)
            if chosen is None:
                errors["size"] = "Choose a size."
                return wish
            size = chosen.wish
            return replace(
                wish, cpu=size.cpu, memory=size.memory, workspace_size=size.workspace_size
            )
        memory = _number(self.memory, "memory", errors)
        workspace = _number(self.workspace, "workspace", errors)
        return replace(
            wish,
            cpu=_number(self.cpus, "cpus", errors),
            memory=None if memory is None else int(memory * MIB),
            workspace_size=None if workspace is None else int(workspace * MIB),
        )

    def _with_lifetime(self, wish: NewSandbox, errors: dict[str, str]) -> NewSandbox:
        if self.lifetime == NEVER:
            return replace(wish, timeout=NEVER)
        if self.lifetime != CUSTOM:
            return replace(wish, timeout=_whole(self.lifetime, "lifetime", errors))
        return replace(wish, timeout=self._custom_seconds(errors))

    def _custom_seconds(self, errors: dict[str, str]) -> int | None:
        least, most = -(-MIN_SECONDS // MINUTE), settings.SANDBOX_MAX_SECONDS // MINUTE
        typed = self.minutes
        # Longer than any bound can be, and too long to count in.
        is_number = typed.isascii() and typed.isdigit() and len(typed) < 10
        if not is_number or not least <= int(typed) <= most:
            errors["minutes"] = f"Type a whole number of minutes, from {least} to {most}."
            return None
        return int(typed) * MINUTE


def _size_of(sandbox: Sandbox) -> str:
    for size in sizes():
        limits = size.limits
        if (sandbox.cpus, sandbox.memory_bytes, sandbox.workspace_bytes) == (
            limits.cpus,
            limits.memory_bytes,
            limits.workspace_bytes,
        ):
            return size.name
    return CUSTOM


def _pairs(keys: Iterable[str], values: Iterable[str]) -> Pairs:
    """Return the rows that hold something."""
    rows = ((key.strip(), value) for key, value in zip(keys, values, strict=False))
    return tuple((key, value) for key, value in rows if key or value)


def _with_spare(pairs: Pairs) -> Sequence[tuple[str, str]]:
    return [*pairs, *[("", "")] * max(1, SPARE_ROWS - len(pairs))]


def _unique(pairs: Pairs, field: str, errors: dict[str, str]) -> dict[str, str]:
    seen: dict[str, str] = {}
    for key, value in pairs:
        if not key:
            errors[field] = "A value has no name."
        elif key in seen:
            errors[field] = f"{key} is there twice."
        else:
            seen[key] = value
    return seen


def _number(text: str, field: str, errors: dict[str, str]) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        errors[field] = "Type a number."
        return None
    if not 0 < value < 1e9:
        errors[field] = "Type a number above 0."
        return None
    return value


def _whole(text: str, field: str, errors: dict[str, str]) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        errors[field] = "Type a whole number."
        return None
    return int(text)


def body_of(wish: NewSandbox) -> dict[str, Any]:
    """Return the body of the API's `POST /sandbox` that makes the same sandbox."""
    said = {
        "name": wish.name,
        "image": wish.image,
        "cpu": wish.cpu,
        "memory": wish.memory,
        "workspace_size": wish.workspace_size,
        "timeout": None if wish.timeout == settings.SANDBOX_SECONDS else wish.timeout,
        "env": dict(wish.env),
        "labels": dict(wish.labels),
    }
    return {name: value for name, value in said.items() if value not in ("", None, {})}
