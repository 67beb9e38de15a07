from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

SWEEP_SECONDS = 600.0
THIN_SECONDS = 60.0
TERMINAL_SECONDS = 10.0


class SandboxesConfig(AppConfig):
    name = "sandboxes"

    def ready(self) -> None:
        from sandboxes import fitness, recording, sampling, supervisor, terminals

        supervisor.add_chore("the sweep of probes", SWEEP_SECONDS, fitness.sweep)
        supervisor.add_chore("terminals", TERMINAL_SECONDS, terminals.settle_all, apart=True)
        supervisor.add_chore("recordings", TERMINAL_SECONDS, recording.resume_all)
        supervisor.add_chore("usage", settings.USAGE_SECONDS, sampling.sample, apart=True)
        supervisor.add_chore("the thinning of usage", THIN_SECONDS, sampling.thin)
