from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand

from disks import sweep


class Command(BaseCommand):
    help = "Delete stored bytes that no artifact points to. The server does so by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{async_to_sync(sweep.sweep)()} blobs deleted")
