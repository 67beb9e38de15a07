from __future__ import annotations

from django.apps import AppConfig

SWEEP_SECONDS = 3600.0


class DisksConfig(AppConfig):
    name = "disks"

    def ready(self) -> None:
        from disks import sweep, trash, tus
        from sandboxes import supervisor

        supervisor.add_chore("the trash", SWEEP_SECONDS, trash.purge_old)
        supervisor.add_chore("expired uploads", SWEEP_SECONDS, tus.purge_expired)
        supervisor.add_chore("the sweep of blobs", SWEEP_SECONDS, sweep.sweep)
