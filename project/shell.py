"""What the frame around every page shows: projects, counts, theme, and trouble with the engine."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.http import HttpRequest

from project import first_steps, policy
from project.first_steps import FirstSteps
from project.models import Project
from project.version import VERSION
from sandboxes import health
from sandboxes.models import Sandbox, Status

THEMES = (
    ("auto", "As the system"),
    ("light", "Light"),
    ("dark", "Dark"),
    ("contrast", "High contrast"),
)
# More of them would be no menu any more; the settings list them all.
MOST_PROJECTS = 50


class Shell:
    """Looks up what a template asks for, once."""

    themes = THEMES
    version = VERSION

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        chosen = request.COOKIES.get("theme", "auto")
        self.choice = chosen if chosen in dict(THEMES) else "auto"
        self.theme = self.choice if self.choice in ("light", "dark") else ""
        self.contrast = self.choice == "contrast"
        self.density = "compact" if request.COOKIES.get("density") == "compact" else ""

    @cached_property
    def projects(self) -> list[Project]:
        return list(policy.projects_of(self._request.user)[:MOST_PROJECTS])

    @cached_property
    def running(self) -> int:
        member = getattr(self._request, "member", None)
        if member is None:
            return 0
        return Sandbox.objects.filter(project=member.project, status=Status.RUNNING).count()

    @cached_property
    def steps(self) -> FirstSteps:
        return first_steps.of(self._request.member.project)  # type: ignore[attr-defined]

    @property
    def engine_trouble(self) -> bool:
        return health.engine_is_away()


def shell(request: HttpRequest) -> dict[str, Any]:
    """Give every template its `shell`. Nothing is looked up before it is asked for."""
    return {"shell": Shell(request)}
