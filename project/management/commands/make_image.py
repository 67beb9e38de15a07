"""Make the default sandbox image, if the engine lacks it."""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from project.preparation import prepare_image
from sandboxes.engine import close_engine
from sandboxes.engine.base import EngineError


class Command(BaseCommand):
    help = "Make the default sandbox image, if the engine lacks it."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asyncio.run(self.prepare())
        except EngineError as error:
            raise CommandError(str(error)) from error

    async def prepare(self) -> None:
        try:
            await prepare_image(self.report)
        finally:
            await close_engine()

    def report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
