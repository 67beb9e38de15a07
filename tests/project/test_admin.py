"""The admin panel: every model has its pages, and what it does is done by the product."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as product
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from disks.models import Artifact, Blob, Disk, Transfer, TrashedArtifact, Upload
from project import policy
from project.keys import find_key
from project.models import (
    Activity,
    ApiKey,
    EndUser,
    IdempotentRequest,
    Lease,
    Membership,
    Project,
    Role,
)
from project.views import overview
from sandboxes.models import Command, Sandbox, Terminal, UsageSample

pytestmark = pytest.mark.slow

# What people typed is seen where its sandbox is, by those who may look there. The key of a
# session is as good as a password, and what servers keep for
# themselves is hashes and numbers.
NOT_SHOWN = ("RecordingPart", "Session", "AttemptCount", "Memo")
OURS = [
    model
    for name in ("project", "sandboxes", "disks")
    for model in apps.get_app_config(name).get_models()
    if model.__name__ not in NOT_SHOWN
]
MANY = 500
CSS = Path(product.BASE_DIR) / "static" / "css"


def new_sandbox(project: Project, **changes: Any) -> Sandbox:
    asked = {"image": "i", "cpus": 1, "memory_bytes": 1, "workspace_bytes": 1, "pids": 1}
    return Sandbox(project=project, **{**asked, "status": "killed", "reason": "killed", **changes})


@pytest.fixture
def sandbox(project: Project) -> Sandbox:
    sandbox = new_sandbox(project, name="Otter", environment={"TOKEN": "swordfish"})
    sandbox.save()
    return sandbox


def list_of(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def act(client: Client, model: Any, action: str, *rows: Any, **more: Any) -> Any:
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    return client.post(list_of(model), data, follow=True)


def test_every_model_is_in_the_admin() -> None:
    assert [model for model in OURS if not admin.site.is_registered(model)] == []


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_list_opens_and_searches(
    admin_client: Client, sandbox: Sandbox, token: str, model: Any
) -> None:
    Disk.objects.create(project=sandbox.project)
    page = admin_client.get(list_of(model))
    assert page.status_code == 200
    if admin.site.get_model_admin(model).search_fields:
        assert admin_client.get(list_of(model), {"q": "x"}).status_code == 200


def test_a_sandbox_can_be_looked_at(admin_client: Client, sandbox: Sandbox) -> None:
    page = admin_client.get(reverse("admin:sandboxes_sandbox_change", args=[sandbox.pk]))
    assert page.status_code == 200
    assert str(sandbox.id) in page.content.decode()


def test_values_of_variables_are_not_shown(admin_client: Client, sandbox: Sandbox) -> None:
    page = admin_client.get(reverse("admin:sandboxes_sandbox_change", args=[sandbox.pk]))
    assert "TOKEN" in page.content.decode()
    assert "swordfish" not in page.content.decode()


def test_runtime_facts_cannot_be_changed(admin_client: Client, sandbox: Sandbox) -> None:
    path = reverse("admin:sandboxes_sandbox_change", args=[sandbox.pk])
    assert admin_client.post(path, {"status": "running"}).status_code == 403


def test_the_number_of_sandboxes_alive_costs_no_more_than_that(
    admin_client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: Any) -> None:
        raise AssertionError("the whole overview was looked up")

    for status in ("running", "paused", "killed"):
        new_sandbox(project, status=status).save()
    monkeypatch.setattr(overview, "_facts", asked)
    page = admin_client.get(reverse("admin_overview"), {"part": "alive"})
    assert page.content.decode().strip() == "2 alive now"


# --- Lists with many rows --------------------------------------------------------------------


def many_rows(project: Project) -> None:
    """Fill every table whose list a busy server makes long."""
    sandboxes = Sandbox.objects.bulk_create(new_sandbox(project) for _ in range(MANY))
    disks = Disk.objects.bulk_create(Disk(project=project, name=f"d{n}") for n in range(MANY))
    users = User.objects.bulk_create(User(username=f"u{n}") for n in range(MANY))
    Membership.objects.bulk_create(Membership(project=project, user=user) for user in users)
    EndUser.objects.bulk_create(EndUser(project=project, identifier=str(n)) for n in range(MANY))
    Command.objects.bulk_create(Command(sandbox=one, command="true") for one in sandboxes)
    Terminal.objects.bulk_create(Terminal(sandbox=one, name="t") for one in sandboxes)
    UsageSample.objects.bulk_create(
        UsageSample(sandbox=one, cpu_percent=1, memory_bytes=1, workspace_bytes=1, processes=1)
        for one in sandboxes
    )
    blobs = Blob.objects.bulk_create(
        Blob(project=project, sha256=f"{n:064}", size=n) for n in range(MANY)
    )
    when = blobs[0].created_at
    files = [(disk, blob) for disk, blob in zip(disks, blobs, strict=True)]
    Artifact.objects.bulk_create(
        Artifact(disk=disk, path="/", filename="f", mime="x", blob=blob) for disk, blob in files
    )
    TrashedArtifact.objects.bulk_create(
        TrashedArtifact(
            disk=disk,
            deletion=disk.pk,
            path="/",
            filename="f",
            mime="x",
            blob=blob,
            created_at=when,
            updated_at=when,
        )
        for disk, blob in files
    )
    place = {"place": "disk", "place_id": disks[0].pk, "folder": "/"}
    Upload.objects.bulk_create(
        Upload(project=project, filename="f", size=1, expires_at=when, **place) for _ in range(MANY)
    )
    ends = {
        "source": "disk",
        "source_id": disks[0].pk,
        "source_folder": "/",
        "target": "sandbox",
        "target_id": sandboxes[0].pk,
        "target_folder": "/",
    }
    Transfer.objects.bulk_create(Transfer(project=project, **ends) for _ in range(MANY))
    Activity.objects.bulk_create(
        Activity(project=project, actor="a", door="api", verb="sandbox.create") for _ in range(MANY)
    )


def test_no_list_asks_once_for_each_row(admin_client: Client, project: Project) -> None:
    many_rows(project)
    asked = {}
    for model in OURS:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert admin_client.get(list_of(model)).status_code == 200
        asked[model.__name__] = len(queries)
    # The session, the user, counts, the page of rows, and what the filters offer.
    assert {name: count for name, count in asked.items() if count > 12} == {}


# --- What is done here -----------------------------------------------------------------------


def test_a_new_key_is_shown_once_and_works(admin_client: Client, project: Project) -> None:
    path = reverse("admin:project_apikey_add")
    new = {"project": project.pk, "name": "new", "scopes": ["disks:read"]}
    shown = admin_client.post(path, new)
    text = shown.content.decode()
    assert "shown only now" in text
    token = text.split('id="token" value="')[1].split('"')[0]
    # Nothing keeps it: no cache, and no cookie of messages.
    assert "no-store" in shown["Cache-Control"]
    assert "messages" not in shown.cookies
    key = find_key(token)
    assert key is not None
    assert (key.name, key.scopes, key.created_by) == ("new", ["disks:read"], "admin")
    page = admin_client.get(reverse("admin:project_apikey_change", args=[key.pk])).content.decode()
    assert token not in page
    assert key.digest not in page


def test_a_key_is_revoked_at_once_after_a_question(admin_client: Client, token: str) -> None:
    key = ApiKey.objects.get()
    assert find_key(token) is not None
    question = act(admin_client, ApiKey, "revoke", key)
    assert "refused from now on" in question.content.decode()
    assert find_key(token) is not None
    act(admin_client, ApiKey, "revoke", key, confirmed="yes")
    assert find_key(token) is None
    line = Activity.objects.get(verb="key.revoke")
    assert (line.actor, line.door, line.object_id) == ("admin", "admin", str(key.pk))


def test_what_an_action_is_refused_is_said_and_recorded(
    admin_client: Client, sandbox: Sandbox
) -> None:
    page = act(admin_client, Sandbox, "extend", sandbox).content.decode()
    assert "“Otter”: " in page
    assert "Extended" not in page
    assert Activity.objects.get(verb="sandbox.extend").outcome == "refused"


def test_only_what_still_runs_is_about_to_be_stopped(
    admin_client: Client, sandbox: Sandbox, project: Project
) -> None:
    alive = new_sandbox(project, name="Heron", status="running", reason="")
    alive.save()
    page = act(admin_client, Sandbox, "kill", sandbox, alive).content.decode()
    assert "1 sandbox<" in page
    assert "1 more that you selected has ended already." in page
    assert f'value="{alive.pk}"' in page
    assert "Otter" not in page
    page = act(admin_client, Sandbox, "kill", sandbox).content.decode()
    assert "What you selected has ended already." in page
    assert "Stop sandboxes?" not in page


def test_sandboxes_are_filtered_in_the_words_of_their_column(
    admin_client: Client, project: Project
) -> None:
    states: dict[str, dict[str, str]] = {
        "starting": {"status": "creating"},
        "failed": {"status": "error", "reason": "lost"},
        "expired": {"status": "killed", "reason": "expired"},
        "stopped": {"status": "killed", "reason": "killed"},
    }
    for state, facts in states.items():
        new_sandbox(project, **{"name": f"is-{state}", "reason": "", **facts}).save()
    everything = admin_client.get(list_of(Sandbox)).content.decode()
    for state in states:
        assert f'href="?state={state}">{state.capitalize()}</a>' in everything
        page = admin_client.get(list_of(Sandbox), {"state": state}).content.decode()
        assert set(re.findall("is-[a-z]+", page)) == {f"is-{state}"}


def test_the_way_to_a_record_begins_at_the_records(admin_client: Client, sandbox: Sandbox) -> None:
    for page in ("change", "history"):
        address = reverse(f"admin:sandboxes_sandbox_{page}", args=[sandbox.pk])
        crumbs = admin_client.get(address).content.decode().partition("breadcrumbs")[2]
        links = re.findall(r">([^<>\n]+)</", crumbs.partition("</ol>")[0])
        assert links[:3] == ["Records", "Sandboxes", "Otter"]


def test_more_time_is_given_as_far_as_it_may(
    admin_client: Client, project: Project, settings: Any
) -> None:
    longest = timedelta(seconds=settings.SANDBOX_MAX_SECONDS)
    expires = timezone.now() + longest - timedelta(minutes=30)
    sandbox = new_sandbox(project, status="running", reason="", expires_at=expires)
    sandbox.save()
    page = act(admin_client, Sandbox, "extend", sandbox).content.decode()
    assert "Extended" in page
    sandbox.refresh_from_db()
    assert sandbox.expires_at is not None
    assert expires < sandbox.expires_at <= timezone.now() + longest


def test_what_was_deleted_is_recorded(admin_client: Client, project: Project) -> None:
    disk = Disk.objects.create(project=project, name="reports")
    path = reverse("admin:disks_disk_delete", args=[disk.pk])
    assert admin_client.post(path, {"post": "yes"}).status_code == 302
    assert not Disk.objects.exists()
    line = Activity.objects.get(verb="disk.delete")
    assert (line.project, line.object_name, line.door) == (project, "reports", "admin")


def test_staff_without_the_right_cannot_kill(client: Client, sandbox: Sandbox) -> None:
    client.force_login(User.objects.create_user("looker", is_staff=True))
    assert act(client, Sandbox, "kill", sandbox, confirmed="yes").status_code == 403


def test_nobody_deletes_the_account_they_use(admin_client: Client) -> None:
    me = User.objects.get(username="admin")
    path = reverse("admin:auth_user_delete", args=[me.pk])
    assert admin_client.post(path, {"post": "yes"}).status_code == 403


# --- The way in ------------------------------------------------------------------------------


def test_strangers_sign_in_at_the_products_own_door(client: Client) -> None:
    page = client.get("/admin/", follow=True)
    assert page.redirect_chain[-1][0] == "/login/?next=/admin/"


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/overview/", "/admin/doctor/"])
def test_others_are_told_that_it_is_not_for_them(
    client: Client, transactional_db: None, path: str
) -> None:
    client.force_login(User.objects.create_user("guest"))
    assert client.get(path).status_code == 403


# --- The look --------------------------------------------------------------------------------


def tokens_in(name: str) -> dict[str, str]:
    return dict(
        re.findall(r"^\s*(--[\w-]+): (light-dark\(.+\));$", (CSS / name).read_text(), re.MULTILINE)
    )


def test_the_admin_has_the_products_colours() -> None:
    ours = tokens_in("app.css")
    theirs = tokens_in("admin-theme.css")
    shared = ours.keys() & theirs.keys()
    assert len(shared) > 20
    assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}


# --- Files -----------------------------------------------------------------------------------


@pytest.fixture
def trashed(project: Project) -> TrashedArtifact:
    disk = Disk.objects.create(project=project, name="reports")
    blob = Blob.objects.create(project=project, sha256="0" * 64, size=1, status="ready")
    when = blob.created_at
    file = {"path": "/", "filename": "a.txt", "mime": "text/plain", "blob": blob}
    dates = {"created_at": when, "updated_at": when}
    return TrashedArtifact.objects.create(disk=disk, deletion=disk.pk, **file, **dates)


def test_a_deleted_file_is_restored(admin_client: Client, trashed: TrashedArtifact) -> None:
    page = act(admin_client, TrashedArtifact, "restore", trashed)
    assert "Restored: /a.txt." in page.content.decode()
    assert Artifact.objects.get().filename == "a.txt"
    assert not TrashedArtifact.objects.exists()


@pytest.mark.parametrize("whole", [False, True])
def test_a_trash_is_purged_after_a_question(
    admin_client: Client, trashed: TrashedArtifact, whole: bool
) -> None:
    asked = (Disk, "purge_trash", trashed.disk) if whole else (TrashedArtifact, "purge", trashed)
    act(admin_client, *asked)
    assert TrashedArtifact.objects.exists()
    act(admin_client, *asked, confirmed="yes")
    assert not TrashedArtifact.objects.exists()
    assert Activity.objects.get(verb="file.purge").door == "admin"


def test_a_transfer_is_cancelled_once(admin_client: Client, project: Project) -> None:
    ends = {"source_id": project.pk, "source_folder": "/", "target_folder": "/"}
    transfer = Transfer.objects.create(
        project=project, source="disk", target="disk", target_id=project.pk, **ends
    )
    act(admin_client, Transfer, "cancel", transfer, confirmed="yes")
    transfer.refresh_from_db()
    assert transfer.status == "cancelled"
    again = act(admin_client, Transfer, "cancel", transfer, confirmed="yes")
    assert "already" in again.content.decode()


def test_bytes_that_nothing_points_to_are_swept_at_once(
    admin_client: Client, project: Project, settings: Any
) -> None:
    settings.BLOB_GRACE_SECONDS = 0
    blob = Blob.objects.create(project=project, sha256="1" * 64, size=1)
    page = act(admin_client, Blob, "sweep", blob)
    assert "Swept 1 blob " in page.content.decode()
    assert not Blob.objects.exists()


# --- Owners ----------------------------------------------------------------------------------


@pytest.fixture
def last(project: Project) -> Membership:
    """The only owner of a project."""
    return policy.add_member(project, User.objects.create_user("mara"), Role.OWNER)


def inline(*memberships: Membership, **changes: Any) -> dict[str, Any]:
    """Return what a form sends of the members on it; the changes are the first one's."""
    sent: dict[str, Any] = {
        "memberships-TOTAL_FORMS": len(memberships),
        "memberships-INITIAL_FORMS": len(memberships),
    }
    for number, one in enumerate(memberships):
        fields = {"id": one.pk, "project": one.project_id, "user": one.user_id, "role": one.role}
        fields |= changes if number == 0 else {}
        sent |= {f"memberships-{number}-{name}": value for name, value in fields.items()}
    return sent


@pytest.mark.parametrize("changes", [{"role": "member"}, {"DELETE": "on"}])
def test_a_projects_page_keeps_its_last_owner(
    admin_client: Client, project: Project, last: Membership, changes: dict[str, str]
) -> None:
    path = reverse("admin:project_project_change", args=[project.pk])
    form = {"name": "ours", "configs": "{}"}
    answer = admin_client.post(path, form | inline(last, **changes))
    assert "ours would have no owner; make somebody else an owner first" in answer.content.decode()
    assert list(project.memberships.values_list("role", flat=True)) == ["owner"]
    # Another owner in the same form is somebody else.
    other = policy.add_member(project, User.objects.create_user("jonas"), Role.MEMBER)
    other.role = Role.OWNER
    assert admin_client.post(path, form | inline(last, other, **changes)).status_code == 302
    assert project.memberships.get(role="owner").user.username == "jonas"


@pytest.mark.parametrize("changes", [{"role": "viewer"}, {"project": "another"}])
def test_a_members_page_keeps_the_last_owner(
    admin_client: Client, stranger: Project, last: Membership, changes: dict[str, str]
) -> None:
    path = reverse("admin:project_membership_change", args=[last.pk])
    form = {"project": last.project_id, "user": last.user_id, "role": "owner"}
    changes = {
        name: str(stranger.pk) if value == "another" else value for name, value in changes.items()
    }
    answer = admin_client.post(path, form | changes)
    assert "would have no owner" in answer.content.decode()
    assert admin_client.post(path, form).status_code == 302
    last.refresh_from_db()
    assert (last.project.name, last.role) == ("ours", "owner")


def test_a_persons_page_keeps_the_last_owner(
    admin_client: Client, project: Project, last: Membership
) -> None:
    path = reverse("admin:auth_user_change", args=[last.user_id])
    form = {"username": "mara", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    answer = admin_client.post(path, form | inline(last, DELETE="on"))
    assert "would have no owner" in answer.content.decode()
    assert project.memberships.get() == last


@pytest.mark.parametrize("model", [Membership, User])
def test_the_last_owner_is_not_deleted(admin_client: Client, last: Membership, model: Any) -> None:
    row = last if model is Membership else last.user
    path = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_delete", args=[row.pk])
    for answer in (
        admin_client.post(path, {"post": "yes"}),
        act(admin_client, model, "delete_selected", row, post="yes"),
    ):
        assert "ours would have no owner" in answer.content.decode()
    assert Membership.objects.get() == last
    policy.add_member(last.project, User.objects.create_user("jonas"), Role.OWNER)
    admin_client.post(path, {"post": "yes"})
    assert Membership.objects.get().user.username == "jonas"


def test_a_project_is_deleted_with_its_last_owner(admin_client: Client, last: Membership) -> None:
    path = reverse("admin:project_project_delete", args=[last.project_id])
    admin_client.post(path, {"post": "yes"})
    assert not Project.objects.exists()


# --- What operators see first -----------------------------------------------------------------


def test_front_page_shows_what_is_used_and_folds_away_the_rest(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:index")).content.decode()
    first, _, more = page.partition('<details class="more">')
    assert list_of(Sandbox) in first
    assert list_of(Project) in first
    for model in (Lease, IdempotentRequest, Blob):
        assert list_of(model) not in first
        assert list_of(model) in more


def test_list_has_its_own_name_and_a_short_image(admin_client: Client, sandbox: Sandbox) -> None:
    Sandbox.objects.update(image="registry.example/team/python:3.13")
    page = admin_client.get(list_of(Sandbox)).content.decode()
    assert "<h1>Sandboxes</h1>" in page
    assert "Select sandbox" not in page
    assert '<span title="registry.example/team/python:3.13">python:3.13</span>' in page


def test_only_an_empty_project_is_offered_to_be_deleted(
    admin_client: Client, sandbox: Sandbox, stranger: Project
) -> None:
    assert "delete_selected" not in admin_client.get(list_of(Project)).content.decode()
    for project, offered in ((sandbox.project, False), (stranger, True)):
        page = admin_client.get(reverse("admin:project_project_change", args=[project.pk]))
        gone = reverse("admin:project_project_delete", args=[project.pk])
        assert (gone in page.content.decode()) == offered
        assert (admin_client.get(gone).status_code == 200) == offered
