"""Look at everything that Sandbank stands on, and say what to do about what is wrong."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from project import database, doctor
from sandboxes.engine import close_engine


class Command(BaseCommand):
    help = "Check settings, database, files, engine and isolation. Exit status 1 if one is wrong."
    # It says itself what is wrong.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        sections = asyncio.run(self.examine())
        self.stdout.write(doctor.report(sections, timezone.now()))
        if not doctor.healthy(sections):
            raise CommandError("Something is wrong: see ✖ above.")

    async def examine(self) -> list[doctor.Section]:
        try:
            return [section async for section in doctor.examine()]
        finally:
            await close_engine()
            await database.close()
