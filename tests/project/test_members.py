"""Members, their roles, and the projects themselves, through the pages."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from disks.models import Disk
from project import members, policy
from project.errors import Conflict, Forbidden, Invalid, NotFound
from project.models import Activity, Membership, Project, Role
from tests.project.people import Browser, make_person

pytestmark = pytest.mark.slow


@pytest.fixture
def owner(project: Project, stranger: Project) -> Browser:
    return make_person("owner", project, stranger)


def membership(name: str) -> Membership:
    return Membership.objects.select_related("user").get(user__username=name)


def test_an_owner_adds_somebody_who_has_an_account(owner: Client, project: Project) -> None:
    User.objects.create_user("Jonas")
    answer = owner.post(reverse("add_member"), {"username": "jonas", "role": "viewer"}, follow=True)
    assert "Jonas is in, as viewer." in answer.content.decode()
    assert membership("Jonas").role == "viewer"
    line = Activity.objects.get(verb="member.add")
    assert (line.actor, line.object_name, line.detail) == ("owner", "Jonas", "viewer")


def test_an_account_is_made_only_if_that_is_wanted(owner: Client, project: Project) -> None:
    form = {"username": "new-one", "role": "viewer"}
    answer = owner.post(reverse("add_member"), form)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "There is no account new-one" in page
    # What was typed and chosen is still there.
    assert 'value="new-one"' in page
    assert '<option value="viewer" selected>' in page
    assert not User.objects.filter(username="new-one").exists()


def test_a_new_accounts_password_is_shown_once_and_works(owner: Client, project: Project) -> None:
    form = {"username": "new-one", "role": "member", "make_account": "1"}
    went = owner.post(reverse("add_member"), form)
    assert went.status_code == 303
    answer = owner.get(went["Location"])
    page = answer.content.decode()
    password = page.split('id="password" value="')[1].split('"')[0]
    assert answer["Cache-Control"] == "no-store"
    assert User.objects.get(username="new-one").check_password(password)
    assert password not in owner.get(reverse("members")).content.decode()

    newcomer = Client()
    went = newcomer.post(reverse("login"), {"username": "new-one", "password": password})
    assert went["Location"] == f"{reverse('profile')}?first=1"


def test_of_two_names_that_are_alike_the_one_that_was_written_is_added(project: Project) -> None:
    for name in ("Bob", "bob", "BOB"):
        User.objects.create_user(name)
    for name in ("bob", "Bob"):
        assert members.add(project, name, Role.MEMBER).membership.user.username == name


def test_a_name_that_may_mean_two_people_adds_neither(project: Project) -> None:
    User.objects.create_user("Bob")
    User.objects.create_user("bob")
    with pytest.raises(Conflict, match="Bob and bob are two accounts"):
        members.add(project, "BOB", Role.MEMBER, password=members.make_up_password())
    assert not project.memberships.exists()
    assert User.objects.count() == 2


@pytest.mark.parametrize("name", ["", "with space", "<b>", "a" * 151])
def test_a_name_that_cannot_be_one_is_refused(project: Project, name: str) -> None:
    with pytest.raises(Invalid):
        members.add(project, name, Role.MEMBER, password=members.make_up_password())


def test_nobody_is_added_twice(owner: Client, project: Project) -> None:
    with pytest.raises(Conflict, match="already"):
        members.add(project, "OWNER", Role.VIEWER)
    assert membership("owner").role == "owner"


def test_a_role_is_changed(owner: Client, project: Project, stranger: Project) -> None:
    make_person("viewer", project, stranger)
    owner.post(reverse("role", args=[membership("viewer").pk]), {"role": "owner"})
    assert membership("viewer").role == "owner"


def test_the_last_owner_stays_an_owner(owner: Client, project: Project) -> None:
    mine = membership("owner").pk
    with pytest.raises(Conflict, match="last owner"):
        members.change_role(project, mine, Role.MEMBER)
    with pytest.raises(Conflict, match="last owner"):
        members.remove(project, mine)
    assert membership("owner").role == "owner"


def test_one_of_two_owners_may_go(owner: Client, project: Project) -> None:
    other = User.objects.create_user("other")
    policy.add_member(project, other, Role.OWNER)
    owner.post(reverse("remove_member", args=[membership("owner").pk]))
    assert list(project.memberships.values_list("user__username", flat=True)) == ["other"]


def test_anybody_may_leave(project: Project, stranger: Project) -> None:
    viewer = make_person("viewer", project, stranger)
    assert "Leave</button>" in viewer.get(reverse("members")).content.decode()
    viewer.post(reverse("leave_project"))
    assert not project.memberships.exists()
    line = Activity.objects.get(verb="member.leave")
    assert (line.actor, line.project) == ("viewer", project)
    assert viewer.get(reverse("members")).status_code == 404


def test_the_last_owner_does_not_leave(owner: Client, project: Project) -> None:
    answer = owner.post(reverse("leave_project"), headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert "last owner" in answer.json()["error"]
    assert membership("owner").role == "owner"


def test_an_administrator_is_no_member(project: Project, stranger: Project) -> None:
    root = make_person("superuser", project, stranger)
    answer = root.post(reverse("leave_project"), headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert "Leave</button>" not in root.get(reverse("members")).content.decode()


def test_a_member_of_another_project_cannot_be_touched(
    owner: Client, project: Project, stranger: Project
) -> None:
    make_person("stranger", project, stranger)
    with pytest.raises(NotFound):
        members.remove(project, membership("stranger").pk)
    answer = owner.post(
        reverse("role", args=[membership("stranger").pk]),
        {"role": "viewer"},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 404
    assert membership("stranger").role == "owner"


# --- Projects -------------------------------------------------------------------------------


def test_an_owner_makes_another_project_and_is_in_it(owner: Client, project: Project) -> None:
    answer = owner.post(reverse("new_project"), {"name": "  second   one "}, follow=True)
    made = Project.objects.get(name="second one")
    assert "second one" in answer.content.decode()
    assert made.memberships.get().role == "owner"
    assert Activity.objects.get(verb="project.create").project == made


def test_a_member_makes_no_project(project: Project) -> None:
    user = User.objects.create_user("member")
    policy.add_member(project, user, Role.MEMBER)
    with pytest.raises(Forbidden):
        members.create_project(user, "mine")


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "x" * 201])
def test_a_project_needs_a_name(project: Project, name: str) -> None:
    with pytest.raises(Invalid):
        members.rename_project(project, name)


def test_a_project_is_renamed(owner: Client, project: Project) -> None:
    owner.post(reverse("rename_project"), {"name": "Agents <b>"})
    page = owner.get(reverse("settings")).content.decode()
    assert "Agents &lt;b&gt;" in page
    assert "Agents <b>" not in page


def test_only_an_empty_project_is_deleted(owner: Browser, project: Project) -> None:
    owner.post(reverse("new_project"), {"name": "second"})
    second = Project.objects.get(name="second")
    disk = Disk.objects.create(project=second)
    owner.shows = second
    owner.post(reverse("delete_project"))
    assert Project.objects.filter(name="second").exists()
    disk.delete()
    owner.post(reverse("delete_project"))
    assert not Project.objects.filter(name="second").exists()
    line = Activity.objects.get(verb="project.delete")
    assert (line.project, line.object_name) == (None, "second")
    assert owner.get("/").status_code == 200


def test_ones_only_project_is_kept(owner: Client, project: Project) -> None:
    owner.post(reverse("delete_project"))
    assert Project.objects.filter(pk=project.pk).exists()
