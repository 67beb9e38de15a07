"""The admin panel: every model has its pages, and what it does is done by the product."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from disks.models import Disk
from project.keys import find_key
from project.models import ApiKey, Project
from sandboxes.models import Sandbox

OURS = [
    model
    for name in ("project", "sandboxes", "disks")
    for model in apps.get_app_config(name).get_models()
]


@pytest.fixture
def sandbox(project: Project) -> Sandbox:
    return Sandbox.objects.create(
        project=project,
        image="i",
        cpus=1,
        memory_bytes=1,
        workspace_bytes=1,
        pids=1,
        status="killed",
        reason="killed",
    )


def test_every_model_is_in_the_admin() -> None:
    assert [model for model in OURS if not admin.site.is_registered(model)] == []


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_list_opens_and_searches(
    admin_client: Client, sandbox: Sandbox, token: str, model: Any
) -> None:
    Disk.objects.create(project=sandbox.project)
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    page = admin_client.get(path)
    assert page.status_code == 200
    if admin.site.get_model_admin(model).search_fields:
        assert admin_client.get(path, {"q": "x"}).status_code == 200


def test_a_sandbox_can_be_looked_at(admin_client: Client, sandbox: Sandbox) -> None:
    page = admin_client.get(reverse("admin:sandboxes_sandbox_change", args=[sandbox.pk]))
    assert page.status_code == 200
    assert str(sandbox.id) in page.content.decode()


def test_a_new_key_is_shown_once_and_works(admin_client: Client, project: Project) -> None:
    path = reverse("admin:project_apikey_add")
    shown = admin_client.post(path, {"project": project.pk, "name": "new"}, follow=True)
    text = shown.content.decode()
    assert "shown only now" in text
    token = text[text.index("sk-ac-") :].split("<")[0].strip()
    key = find_key(token)
    assert key is not None
    assert key.name == "new"
    page = admin_client.get(reverse("admin:project_apikey_change", args=[key.pk]))
    assert token not in page.content.decode()


def test_a_key_is_revoked_at_once(admin_client: Client, token: str) -> None:
    key = ApiKey.objects.get()
    assert find_key(token) is not None
    path = reverse("admin:project_apikey_changelist")
    admin_client.post(path, {"action": "revoke", "_selected_action": [str(key.pk)]})
    assert find_key(token) is None


def test_the_panel_needs_a_login(client: Client) -> None:
    assert client.get("/admin/").status_code == 302
