"""A page acts on the project that it shows, whatever another tab shows meanwhile."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from disks.models import Disk
from project.keys import create_key
from project.models import ApiKey, Project, Role
from project.pages import CURRENT
from project.policy import add_member
from tests.project.people import Browser, make_person
from tests.project.routes import Things, all_routes, make_things
from tests.project.test_policy import CHANGING, rows

pytestmark = pytest.mark.slow

# Nobody has to be in a project there.
OF_NO_PROJECT = {"health", "login", "logout"}


@pytest.fixture
def owner(project: Project, stranger: Project) -> Browser:
    """Somebody who owns both projects and looked at the stranger's last."""
    owner = make_person("owner", project, stranger)
    add_member(stranger, User.objects.get(username="owner"), Role.OWNER)
    owner.get(f"/disks/{Disk.objects.create(project=stranger).pk}/settings/")
    assert owner.session[CURRENT] == str(stranger.pk)
    owner.shows = None
    return owner


@pytest.fixture
def things(project: Project, settings) -> Things:
    settings.SANDBOX_ENGINE = "local"
    return make_things(project)


class Forms(HTMLParser):
    """The forms of a page that change something: where each leads, and its fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.shown = ""
        self._is_open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.shown = said.get("data-project", self.shown)
        if tag == "form":
            self._is_open = said.get("method", "").lower() == "post"
            if self._is_open:
                self.found.append((said.get("action", ""), {}))
        elif tag == "input" and self._is_open:
            self.found[-1][1][said.get("name", "")] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_open = False


def test_a_form_changes_the_project_of_its_page(
    owner: Browser, project: Project, stranger: Project
) -> None:
    User.objects.create_user("bob")
    form = {"username": "bob", "role": "owner", "project": str(project.pk)}
    answer = owner.post(reverse("add_member"), form, follow=True)
    assert project.memberships.filter(user__username="bob").exists()
    assert not stranger.memberships.filter(user__username="bob").exists()
    # The page after it shows the same project.
    assert Forms(answer.content.decode()).shown == str(project.pk)


def test_a_script_changes_the_project_of_its_page_and_moves_nobody(
    owner: Browser, project: Project, stranger: Project
) -> None:
    owner.post(
        reverse("new_key"),
        {"name": "k", "days": "0", "reach": "all"},
        headers={"X-Project": str(project.pk)},
    )
    assert ApiKey.objects.get().project == project
    assert owner.session[CURRENT] == str(stranger.pk)


def test_a_part_that_looks_again_shows_the_project_of_its_page(
    owner: Browser, project: Project, stranger: Project
) -> None:
    create_key(project, "ours-alone")
    address = f"{reverse('keys')}?part=rows"
    assert "ours-alone" not in owner.get(address).content.decode()
    part = owner.get(address, headers={"X-Project": str(project.pk)})
    assert "ours-alone" in part.content.decode()
    assert owner.session[CURRENT] == str(stranger.pk)


@pytest.mark.parametrize("shown", ["theirs", "nonsense"])
def test_a_page_of_a_project_one_has_left_changes_nothing(
    owner: Browser, project: Project, stranger: Project, shown: str
) -> None:
    stranger.memberships.all().delete()
    shown = str(stranger.pk) if shown == "theirs" else shown
    for sent in ({"data": {"name": "n", "project": shown}}, {"headers": {"X-Project": shown}}):
        options: dict[str, Any] = {"headers": {}} | sent
        options["headers"]["Accept"] = "application/json"
        answer = owner.post(reverse("rename_project"), **options)
        assert answer.status_code == 409
        assert "reload it" in answer.json()["error"]
    assert not Project.objects.filter(name="n").exists()


def test_nothing_is_changed_that_does_not_say_which_project_its_page_shows(
    owner: Browser, things: Things
) -> None:
    before, wrong = rows(), []
    for route in all_routes():
        if route.is_admins or route.name in OF_NO_PROJECT:
            continue
        for method in CHANGING:
            headers = {"Accept": "application/json", **things.headers_of(route)}
            address = things.address_of(route)
            if method == "POST":
                answer = owner.post(address, things.form_of(route), headers=headers)
            else:
                answer = owner.generic(method, address, headers=headers)
            if answer.status_code not in (405, 409):
                wrong.append(f"{method} {route}: {answer.status_code}")
    assert wrong == []
    assert rows() == before


def test_every_form_says_which_project_its_page_shows(
    owner: Browser, project: Project, things: Things
) -> None:
    wrong, forms = [], 0
    for route in all_routes():
        if route.is_admins or route.name in OF_NO_PROJECT:
            continue
        answer = owner.get(things.address_of(route), headers={"X-Project": str(project.pk)})
        if "html" not in answer.headers["Content-Type"] or answer.streaming:
            continue
        for action, fields in Forms(answer.content.decode()).found:
            forms += 1
            if fields.get("project") != str(project.pk) and action != reverse("logout"):
                wrong.append(f"{route}: {action}")
    assert wrong == []
    assert forms > 50
