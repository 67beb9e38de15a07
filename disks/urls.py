"""The pages of disks."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "disks"

urlpatterns: list[URLPattern] = []
