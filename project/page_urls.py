"""The pages of the project itself: settings, members, keys, activity, search."""

from __future__ import annotations

from django.urls import URLPattern, path
from django.views.decorators.http import require_POST as post

from project.views import keys, members, profile, settings
from project.views.activity import activity
from project.views.engine import banner
from project.views.search import search
from project.views.welcome import welcome

urlpatterns: list[URLPattern] = [
    path("activity/", activity, name="activity"),
    path("engine/", banner, name="engine_banner"),
    path("search/", search, name="search"),
    path("welcome/", welcome, name="welcome"),
    path("projects/new/", post(settings.new_project), name="new_project"),
    path("settings/", settings.settings, name="settings"),
    path("settings/rename/", post(settings.rename), name="rename_project"),
    path("settings/delete/", post(settings.delete), name="delete_project"),
    path("settings/members/", members.show, name="members"),
    path("settings/members/add/", members.add, name="add_member"),
    path("settings/members/leave/", post(members.leave), name="leave_project"),
    path("settings/members/<int:membership_id>/role/", post(members.change_role), name="role"),
    path(
        "settings/members/<int:membership_id>/remove/", post(members.remove), name="remove_member"
    ),
    path("settings/keys/", keys.show, name="keys"),
    path("settings/keys/new/", keys.new, name="new_key"),
    path("settings/keys/<uuid:key_id>/revoke/", post(keys.revoke), name="revoke_key"),
    path("settings/profile/", profile.profile, name="profile"),
    path("settings/profile/password/", post(profile.change_password), name="change_password"),
    path("settings/profile/look/", post(profile.change_look), name="change_look"),
    path("settings/profile/sessions/", post(profile.end_session), name="end_session"),
]
