from __future__ import annotations

from django.apps import AppConfig


class DisksConfig(AppConfig):
    name = "disks"
