"""The admin pages of what the product writes down for itself."""

from __future__ import annotations

from django.contrib import admin

from project.admin.base import ReadOnly
from project.models import Activity, IdempotentRequest, Lease


@admin.register(Activity)
class ActivityAdmin(ReadOnly):
    list_display = ("at", "actor", "door", "verb", "object_name", "outcome", "project")
    list_filter = ("door", "outcome", "project")
    list_select_related = ("project",)
    search_fields = ("actor", "verb", "object_name", "object_id", "request_id")
    date_hierarchy = "at"


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(ReadOnly):
    list_display = ("route", "key", "project", "status", "created_at")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("key", "route")
    # What was answered belongs to whoever asked.
    fields = ("project", "route", "key", "status", "created_at")


@admin.register(Lease)
class LeaseAdmin(ReadOnly):
    list_display = ("name", "holder", "expires_at")
