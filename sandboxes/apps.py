from __future__ import annotations

from django.apps import AppConfig

SWEEP_SECONDS = 600.0


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        from sandboxes import fitness, supervisor

        supervisor.add_chore("the sweep of probes", SWEEP_SECONDS, fitness.sweep)
