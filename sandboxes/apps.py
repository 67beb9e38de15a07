from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

SWEEP_SECONDS = 600.0
THIN_SECONDS = 60.0


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        from sandboxes import fitness, sampling, supervisor

        supervisor.add_chore("the sweep of probes", SWEEP_SECONDS, fitness.sweep)
        supervisor.add_chore("usage", settings.USAGE_SECONDS, sampling.sample, apart=True)
        supervisor.add_chore("the thinning of usage", THIN_SECONDS, sampling.thin)
