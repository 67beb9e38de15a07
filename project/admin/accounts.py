"""The admin pages of people, projects, members and keys."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangosGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangosUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db.models import Field, QuerySet
from django.forms import (
    BaseInlineFormSet,
    CheckboxSelectMultiple,
    ModelForm,
    MultipleChoiceField,
)
from django.forms import Field as FormField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from project import database, keys, members
from project.admin.base import Recorded, asks, count_of
from project.models import ApiKey, EndUser, Membership, Project, Role
from project.scopes import WORDS, Scope

admin.site.unregister((User, Group))
admin.site.site_header = admin.site.site_title = "Sandbank"
admin.site.index_title = "Records"
# Lists are wide, and every page leads back to all of them.
admin.site.enable_nav_sidebar = False


LAST_OWNER = "{} would have no owner; make somebody else an owner first"


def _require_owners(ids: Collection[int], owned: Collection[UUID] = ()) -> None:
    """Raise ValidationError if a project would lose its last owner: as members.left_alone has it."""
    for project in members.left_alone(ids, owned):
        raise ValidationError(LAST_OWNER.format(project))


class KeepsOwners(Recorded):
    """Rows with which memberships go. None takes a project's last owner away."""

    def memberships_of(self, rows: Any) -> QuerySet[Membership]:
        """Return the memberships that go with some rows."""
        raise NotImplementedError

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        gone, counts, needed, kept = super().get_deleted_objects(objs, request)
        ids = self.memberships_of(list(objs)).values_list("pk", flat=True)
        alone = [LAST_OWNER.format(project) for project in members.left_alone(list(ids))]
        return gone, counts, needed, [*kept, *alone]


class MembershipForm(ModelForm):
    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if cleaned and self.instance.pk:
            project, role = cleaned.get("project"), cleaned.get("role")
            owned = [project.pk] if project and role == Role.OWNER else []
            _require_owners([self.instance.pk], owned)
        return cleaned


class MembershipFormSet(BaseInlineFormSet):
    def clean(self) -> None:
        super().clean()
        before = [form.instance.pk for form in self.initial_forms]
        after = [form.instance for form in self.forms if form not in self.deleted_forms]
        _require_owners(before, [one.project_id for one in after if one.role == Role.OWNER])


class MembershipInline(admin.StackedInline):
    # Of the two kinds of lists the one whose fields have labels.
    model = Membership
    formset = MembershipFormSet
    extra = 0
    fields = ("project", "user", "role", "created_at")
    readonly_fields = ("created_at",)
    # A menu of all would be looked up again for each member.
    raw_id_fields = ("project", "user")


@admin.register(User)
class UserAdmin(KeepsOwners, DjangosUserAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "is_superuser", "last_login")
    inlines = (MembershipInline,)
    # Django's two-list choosers cannot be read by a screen reader.
    filter_horizontal = ()

    def memberships_of(self, rows: Any) -> QuerySet[Membership]:
        return Membership.objects.filter(user__in=rows)

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
    # What goes with a project and is deleted by nobody here.
    kept = ("sandboxes", "disks", "api_keys")

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        # Only an empty one can be deleted, and of many nobody knows: there it is not offered.
        is_empty = obj is not None and not any(getattr(obj, name).exists() for name in self.kept)
        return is_empty and super().has_delete_permission(request, obj)

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
class MembershipAdmin(KeepsOwners):
    noun = "member"
    form = MembershipForm
    list_display = ("user", "project", "role", "created_at")
    list_filter = ("role", "project")
    list_select_related = ("user", "project")
    search_fields = ("user__username", "project__name")
    readonly_fields = ("created_at",)
    raw_id_fields = ("project", "user")

    def memberships_of(self, rows: Any) -> QuerySet[Membership]:
        return Membership.objects.filter(pk__in=[row.pk for row in rows])


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
        # For this answer alone.
        obj.token = token  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the new key. A message would pass through a cookie that can be read."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"The key {obj.name} is made",
            "subtitle": None,
            "opts": self.opts,
            "key": obj,
            "token": obj.token,  # type: ignore[attr-defined]
        }
        # No page of the admin is kept by a browser.
        return TemplateResponse(request, "admin/new_key.html", context)

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
