from __future__ import annotations

from django.apps import AppConfig

PURGE_SECONDS = 3600.0


class ProjectConfig(AppConfig):
    name = "project"

    def ready(self) -> None:
        from project import (
            checks,  # noqa: F401  (registers them)
            retention,
        )
        from sandboxes import supervisor

        supervisor.add_chore("retention", PURGE_SECONDS, retention.purge, apart=True)
