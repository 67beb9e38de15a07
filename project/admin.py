"""The admin pages of projects, keys and users."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from project import keys
from project.models import ApiKey, EndUser, IdempotentRequest, Lease, Project


class ReadOnly(admin.ModelAdmin):
    """Rows that only the product itself may write."""

    def has_add_permission(self, request: HttpRequest, *args: object) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ("name", "id", "created_at")
    search_fields = ("name", "id")
    readonly_fields = ("id", "created_at")


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    list_display = ("name", "prefix", "project", "created_at", "last_used_at", "revoked_at")
    list_filter = ("project",)
    search_fields = ("name", "prefix")
    fields = ("project", "name", "prefix", "created_at", "last_used_at", "revoked_at")
    readonly_fields = ("prefix", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def save_model(
        self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool
    ) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        key, token = keys.create_key(obj.project, obj.name)
        obj.pk = key.pk
        messages.success(request, f"The new key, shown only now: {token}")

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        # A revoked key stays, so that it can be told what it was used for.
        return False

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            keys.revoke(key)
        messages.success(request, "Revoked. The keys are refused from now on.")


@admin.register(EndUser)
class EndUserAdmin(admin.ModelAdmin):
    list_display = ("identifier", "project", "created_at")
    list_filter = ("project",)
    search_fields = ("identifier",)
    readonly_fields = ("id", "created_at", "updated_at")


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(ReadOnly):
    list_display = ("route", "key", "project", "status", "created_at")


@admin.register(Lease)
class LeaseAdmin(ReadOnly):
    list_display = ("name", "holder", "expires_at")
