from __future__ import annotations

from django.apps import AppConfig

PURGE_SECONDS = 3600.0


class ProjectConfig(AppConfig):
    name = "project"

    def ready(self) -> None:
        from project import (
            activity,
            checks,  # noqa: F401  (registers them)
        )
        from sandboxes import supervisor

        supervisor.add_chore("the purge of activity", PURGE_SECONDS, activity.purge)
