from __future__ import annotations

from django.apps import AppConfig

SWEEP_SECONDS = 3600.0
TRANSFERS_SECONDS = 5.0


class DisksConfig(AppConfig):
    name = "disks"

    def ready(self) -> None:
        from disks import jobs, sweep, trash, tus
        from sandboxes import supervisor

        # What may take long is done apart, so that no sandbox outlives its time meanwhile.
        supervisor.add_chore("the trash", SWEEP_SECONDS, trash.purge_some, apart=True)
        supervisor.add_chore("expired uploads", SWEEP_SECONDS, tus.purge_expired, apart=True)
        supervisor.add_chore("old spools", SWEEP_SECONDS, sweep.drop_old_spools, apart=True)
        supervisor.add_chore("the sweep of blobs", SWEEP_SECONDS, sweep.sweep_some, apart=True)
        supervisor.add_chore("deserted transfers", TRANSFERS_SECONDS, jobs.look_after)
        supervisor.add_chore("old transfers", SWEEP_SECONDS, jobs.forget_old)
