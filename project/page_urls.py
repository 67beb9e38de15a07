"""The pages of the project itself: settings, members, keys, activity, search."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
