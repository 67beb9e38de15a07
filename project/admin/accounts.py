"""The admin pages of people, projects, members and keys."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangosGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangosUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Field, QuerySet
from django.forms import CheckboxSelectMultiple, ModelForm, MultipleChoiceField
from django.forms import Field as FormField
from django.http import HttpRequest

from project import database, keys
from project.admin.base import Recorded, asks, count_of
from project.models import ApiKey, EndUser, Membership, Project
from project.scopes import WORDS, Scope

admin.site.unregister((User, Group))
admin.site.site_header = admin.site.site_title = "Sandbank"
admin.site.index_title = "Records"
# Lists are wide, and every page leads back to all of them.
admin.site.enable_nav_sidebar = False


class MembershipInline(admin.StackedInline):
    # Of the two kinds of lists the one whose fields have labels.
    model = Membership
    extra = 0
    fields = ("project", "user", "role", "created_at")
    readonly_fields = ("created_at",)
    # A menu of all would be looked up again for each member.
    raw_id_fields = ("project", "user")


@admin.register(User)
class UserAdmin(Recorded, DjangosUserAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    inlines = (MembershipInline,)
    # Django's two-list choosers cannot be read by a screen reader.
    filter_horizontal = ()

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # Nobody saws off the branch they sit on.
        return obj != request.user and super().has_delete_permission(request, obj)


@admin.register(Group)
class GroupAdmin(Recorded, DjangosGroupAdmin):
    filter_horizontal = ()


@admin.register(Project)
class ProjectAdmin(Recorded):
    list_display = ("name", "id", "members", "sandboxes", "disks", "created_at")
    search_fields = ("name", "id")
    readonly_fields = ("id", "created_at")
    inlines = (MembershipInline,)
    counted = ("memberships", "sandboxes", "disks")

    def project_of(self, row: Project) -> None:
        # A line must outlive the project that it tells of.
        return None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        projects: QuerySet[Project] = super().get_queryset(request)
        tables = {name: Project._meta.get_field(name).related_model for name in self.counted}
        return projects.annotate(
            **{
                f"{name}_count": count_of(table._default_manager.all(), "project")  # type: ignore[union-attr]
                for name, table in tables.items()
            }
        )

    @admin.display(ordering="memberships_count")
    def members(self, project: Project) -> int:
        return project.memberships_count  # type: ignore[attr-defined, no-any-return]

    @admin.display(ordering="sandboxes_count")
    def sandboxes(self, project: Project) -> int:
        return project.sandboxes_count  # type: ignore[attr-defined, no-any-return]

    @admin.display(ordering="disks_count")
    def disks(self, project: Project) -> int:
        return project.disks_count  # type: ignore[attr-defined, no-any-return]


@admin.register(Membership)
class MembershipAdmin(Recorded):
    noun = "member"
    list_display = ("user", "project", "role", "created_at")
    list_filter = ("role", "project")
    list_select_related = ("user", "project")
    search_fields = ("user__username", "project__name")
    readonly_fields = ("created_at",)
    raw_id_fields = ("project", "user")


@admin.register(ApiKey)
class ApiKeyAdmin(Recorded):
    noun = "key"
    list_display = (
        "name",
        "prefix",
        "project",
        "created_by",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("name", "prefix", "created_by")
    fields = (
        "project",
        "name",
        "scopes",
        "expires_at",
        "prefix",
        "created_by",
        "created_at",
        "last_used_at",
        "revoked_at",
    )
    readonly_fields = ("prefix", "created_by", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def save_model(
        self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool
    ) -> None:
        if change:
            super().save_model(request, obj, form, change)
            keys.forget()
            return
        key, token = keys.create_key(
            obj.project,
            obj.name,
            may=obj.scopes,
            expires_at=obj.expires_at,
            created_by=request.user.get_username(),
        )
        obj.pk = key.pk
        obj.prefix = key.prefix
        messages.success(request, f"The new key, shown only now: {token}")

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> FormField | None:
        if db_field.name == "scopes":
            return MultipleChoiceField(
                choices=[(scope.value, words) for scope, words in WORDS.items()],
                initial=[Scope.ALL.value],
                widget=CheckboxSelectMultiple,
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        fixed = [*super().get_readonly_fields(request, obj)]
        # A key of one project never becomes one of another.
        return [*fixed, "project"] if obj else fixed

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        # A revoked key stays, so that it can be told what it was used for.
        return False

    @admin.action(description="Revoke the selected keys…", permissions=["change"])
    @asks("Revoke API keys?", "Whatever uses them is refused from now on.", "Revoke")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        async def revoke(key: ApiKey) -> None:
            await database.write(keys.revoke, key)

        self.act(request, queryset, "key.revoke", revoke, "Revoked")


@admin.register(EndUser)
class EndUserAdmin(Recorded):
    list_display = ("identifier", "project", "created_at")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("identifier",)
    readonly_fields = ("id", "created_at", "updated_at")
