"""Who may do what, on every address of the site: the whole matrix of routes and people.

A new route is tested as soon as it is there. One that a viewer may change something with, or
only an owner may use, has to be named here.
"""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client

from project import policy
from project.errors import Forbidden, NotFound
from project.models import Activity, AttemptCount, Project, Role, Session
from project.policy import Member, Right
from tests.project.people import KINDS, make_person
from tests.project.routes import Route, Things, all_routes, make_things

pytestmark = pytest.mark.slow

# For whoever comes by.
PUBLIC = {"health", "login", "logout"}
# What a viewer may change: only what is the viewer's own.
PERSONAL = {
    "switch_project",
    "new_project",
    "profile",
    "change_password",
    "change_look",
    "end_session",
    "leave_project",
}
# What a form may ask for without changing anything: a selection may be too long for an address.
SHOWING = {"disks:file_zip", "disks:sandbox_file_zip"}
# For owners only.
MANAGING = {
    "rename_project",
    "delete_project",
    "add_member",
    "role",
    "remove_member",
    "new_key",
    "revoke_key",
}
# Pages for making something, which a viewer cannot.
MAKING = {"sandboxes:new", "disks:new"}
# For administrators of the server only.
ADMINISTRATORS = {"welcome"}
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
ROUTES = [route for route in all_routes() if route.name not in PUBLIC]
OF_PROJECTS = [route for route in ROUTES if not route.is_admins]


@pytest.fixture
def local_engine(settings) -> None:
    """Should a test ask the engine for anything, it is not the real one."""
    settings.SANDBOX_ENGINE = "local"


@pytest.fixture
def things(local_engine: None, project: Project) -> Things:
    return make_things(project)


def ask(client: Client, route: Route, things: Things, method: str = "GET") -> int:
    client.raise_request_exception = False
    address, form = things.address_of(route), things.form_of(route)
    headers = things.headers_of(route)
    if method == "POST":
        headers["Accept"] = "application/json"
        answer = client.post(address, form, headers=headers)
    else:
        answer = client.generic(method, address, headers=headers)
    assert answer.status_code < 500, f"{method} {route}: {answer.content[:500]!r}"
    return answer.status_code


def rows() -> dict[str, list[object]]:
    """Everything that is in the database, but for who is signed in."""
    kept = (User, Session)
    models = [model for model in apps.get_models() if model not in kept]
    return {model.__name__: list(model._base_manager.order_by("pk").values()) for model in models}


def test_nobody_gets_anywhere_without_signing_in(things: Things) -> None:
    nobody = Client()
    before, wrong = rows(), []
    for route in ROUTES:
        answer = nobody.get(things.address_of(route))
        to = answer.headers.get("Location", "")
        if answer.status_code != 405 and not to.startswith(("/login/", "/admin/login/")):
            wrong.append(f"GET {route}: {answer.status_code} {to}")
        for method in CHANGING:
            answered = ask(nobody, route, things, method)
            if answered not in (302, 401, 405):
                wrong.append(f"{method} {route}: {answered}")
    assert wrong == []
    assert rows() == before


def test_a_stranger_finds_nothing(things: Things, project: Project, stranger: Project) -> None:
    somebody = make_person("stranger", project, stranger)
    before, wrong = rows(), []
    for route in OF_PROJECTS:
        for method in ("GET", *CHANGING):
            asked = things.names_ours(route, method)
            answered = ask(somebody, route, things, method) if asked else 404
            if answered not in (404, 405):
                wrong.append(f"{method} {route}: {answered}")
    assert wrong == []
    assert rows() == before


def test_a_viewer_sees_and_cannot_touch(
    things: Things, project: Project, stranger: Project
) -> None:
    viewer = make_person("viewer", project, stranger)
    before, wrong = rows(), []
    for route in OF_PROJECTS:
        seen = ask(viewer, route, things)
        if (seen == 403) != (route.name in MAKING | ADMINISTRATORS):
            wrong.append(f"GET {route}: {seen}")
        for method in CHANGING:
            answered = 405 if route.name in PERSONAL else ask(viewer, route, things, method)
            # A page that only shows, shows; whatever the method.
            shows = answered == seen and (seen == 200 or route.name in SHOWING)
            if answered not in (403, 405) and not shows:
                wrong.append(f"{method} {route}: {answered}")
    assert wrong == []
    # That it was tried is on record, and nothing else is another.
    tried = Activity.objects.all()
    assert {(line.verb, line.outcome) for line in tried} == {("member.try", "refused")}
    tried.delete()
    AttemptCount.objects.all().delete()
    assert rows() == before


def test_a_member_does_all_but_manage(things: Things, project: Project, stranger: Project) -> None:
    member = make_person("member", project, stranger)
    wrong = []
    for route in OF_PROJECTS:
        if route.name == "leave_project":
            continue
        seen = ask(member, route, things)
        if (seen == 403) != (route.name in ADMINISTRATORS):
            wrong.append(f"GET {route}: {seen}")
        answered = ask(member, route, things, "POST")
        if (answered == 403) != (route.name in MANAGING | ADMINISTRATORS | {"new_project"}):
            wrong.append(f"POST {route}: {answered}")
    assert wrong == []


@pytest.mark.parametrize("kind", ["owner", "superuser"])
@pytest.mark.parametrize("name", sorted(MANAGING))
def test_owners_and_administrators_manage(
    things: Things, name: str, kind: str, project: Project, stranger: Project
) -> None:
    route = next(route for route in ROUTES if route.name == name)
    assert ask(make_person(kind, project, stranger), route, things, "POST") not in (401, 403, 404)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "superuser"])
def test_what_is_for_those_who_run_the_server_is_for_them_alone(
    things: Things, kind: str, project: Project, stranger: Project
) -> None:
    somebody = make_person(kind, project, stranger)
    for route in ROUTES:
        for method in ("GET", "POST") if route.is_admins else ():
            assert ask(somebody, route, things, method) in (302, 401, 403, 405), route


def test_the_lists_above_name_routes_that_exist() -> None:
    names = {route.name for route in all_routes()}
    assert names >= PUBLIC | PERSONAL | SHOWING | MANAGING | MAKING | ADMINISTRATORS


# --- The policy by itself --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        (Role.VIEWER, {Right.LOOK}),
        (Role.MEMBER, {Right.LOOK, Right.WORK}),
        (Role.OWNER, {Right.LOOK, Right.WORK, Right.MANAGE}),
    ],
)
def test_what_each_role_may(project: Project, role: Role, rights: set[Right]) -> None:
    member = Member(User(username="mara"), project, role)
    assert {right for right in Right if member.may(right)} == rights
    for right in set(Right) - rights:
        with pytest.raises(Forbidden, match=f"you are a {role} of ours"):
            member.require(right)


def test_a_stranger_is_told_of_no_project(project: Project, stranger: Project) -> None:
    user = User.objects.create_user("mara")
    policy.add_member(stranger, user, Role.OWNER)
    with pytest.raises(NotFound):
        policy.member_of(user, project.pk)
    assert list(policy.projects_of(user)) == [stranger]


def test_an_administrator_owns_every_project(project: Project, stranger: Project) -> None:
    user = User.objects.create_superuser("root")
    assert policy.member_of(user, project.pk).role == Role.OWNER
    assert set(policy.projects_of(user)) == {project, stranger}


def test_who_is_switched_off_is_nowhere(project: Project) -> None:
    user = User.objects.create_user("mara", is_active=False)
    policy.add_member(project, user, Role.OWNER)
    with pytest.raises(NotFound):
        policy.member_of(user, project.pk)
