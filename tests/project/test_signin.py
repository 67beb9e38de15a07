"""Signing in and out: slowly for who guesses, and only to pages of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import AsyncMock, call

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from project import signing_out
from project.models import Activity, Project, Role, Session
from project.policy import add_member
from project.views import signin
from tests.project.people import PASSWORD, make_person

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def forget_failures() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def viewer(project: Project) -> User:
    before = timezone.now()
    user = User.objects.create_user("viewer", password=PASSWORD, last_login=before)
    add_member(project, user, Role.VIEWER)
    return user


def sign_in(name: str = "viewer", password: str = PASSWORD, **more: str) -> tuple[Client, int, str]:
    client = Client()
    answer = client.post("/login/", {"username": name, "password": password, **more})
    return client, answer.status_code, answer.headers.get("Location", answer.content.decode())


def test_a_good_password_leads_home(viewer: User) -> None:
    client, status, to = sign_in()
    assert (status, to) == (302, "/")
    assert client.get("/activity/").status_code == 200
    line = Activity.objects.get(verb="account.sign_in")
    assert (line.actor, line.outcome, line.address) == ("viewer", "done", "127.0.0.1")


def test_a_wrong_password_says_so_and_keeps_the_name(viewer: User) -> None:
    _, status, page = sign_in(password="wrong")
    assert status == 422
    assert "User name and password do not match" in page
    assert 'value="viewer"' in page
    assert 'aria-invalid="true"' in page
    assert Activity.objects.get(verb="account.sign_in").outcome == "refused"


def test_a_name_nobody_has_is_answered_the_same(viewer: User) -> None:
    known, unknown = sign_in(password="wrong")[2], sign_in("nobody", "wrong")[2]
    assert known.replace("viewer", "").count("do not match") == unknown.count("do not match") == 1


def test_who_guesses_has_to_wait_even_with_the_right_password(viewer: User, monkeypatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    for _ in range(signin.FAILURES):
        sign_in(password="wrong")
    now += 20
    _, status, page = sign_in()
    assert status == 422
    assert "Too many attempts. Try again in 40 s." in page
    now += 41
    assert sign_in()[1] == 302


def test_one_who_guesses_keeps_nobody_else_out(viewer: User, project: Project) -> None:
    for _ in range(signin.FAILURES + 1):
        sign_in("admin", "wrong")
    assert sign_in()[1] == 302


def test_capital_letters_are_no_way_around_the_wait(viewer: User) -> None:
    for name in ("viewer", "VIEWER", "Viewer", "vIewer", "viEwer"):
        sign_in(name, "wrong")
    assert "Too many attempts" in sign_in()[2]


def test_a_good_sign_in_forgets_the_failures(viewer: User) -> None:
    for _ in range(2):
        for _ in range(signin.FAILURES - 1):
            sign_in(password="wrong")
        assert sign_in()[1] == 302


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "https:evil.example",
        "\x00/evil",
    ],
)
def test_it_leads_to_no_other_site(viewer: User, to: str) -> None:
    assert sign_in(next=to)[2] == "/"


def test_it_leads_where_one_wanted_to_go(viewer: User) -> None:
    asked = Client().get("/settings/keys/?part=rows")
    assert asked["Location"] == "/login/?next=/settings/keys/%3Fpart%3Drows"
    assert sign_in(next="/settings/keys/")[2] == "/settings/keys/"


def test_after_a_form_it_leads_back_to_its_page(viewer: User) -> None:
    before = {"Referer": "http://testserver/settings/?a=1"}
    asked = Client().post("/settings/rename/", headers=before)
    assert asked["Location"] == "/login/?next=/settings/%3Fa%3D1"
    elsewhere = {"Referer": "http://evil.example/settings/"}
    assert Client().post("/settings/rename/", headers=elsewhere)["Location"] == "/login/?next=/"


def test_the_session_ends_with_the_browser_unless_told_to_stay(viewer: User) -> None:
    assert sign_in()[0].cookies["sessionid"]["max-age"] == ""
    stays = sign_in(stay="1")[0].cookies["sessionid"]
    assert stays["max-age"] == signin.STAY_SECONDS
    assert stays["httponly"]


def test_the_first_administrator_is_welcomed_once(project: Project) -> None:
    User.objects.create_superuser("admin", password=PASSWORD)
    assert sign_in("admin")[2] == "/welcome/"
    assert sign_in("admin")[2] == "/"


def test_who_was_going_somewhere_is_not_held_up(project: Project) -> None:
    User.objects.create_superuser("admin", password=PASSWORD)
    assert sign_in("admin", next="/activity/")[2] == "/activity/"


def test_an_account_that_is_switched_off_cannot_sign_in(viewer: User) -> None:
    User.objects.update(is_active=False)
    assert sign_in()[1] == 422


def test_signing_out_ends_the_session_and_leaves_a_line(viewer: User) -> None:
    client = sign_in()[0]
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/")["Location"] == "/login/?next=/"
    assert Activity.objects.filter(verb="account.sign_out", actor="viewer").count() == 1


def test_a_part_of_a_page_sends_to_the_sign_in_when_signed_out(project: Project) -> None:
    asked = {
        "HX-Request": "true",
        "HX-Current-URL": "http://testserver/activity/?verb=disk",
    }
    answer = Client().get("/activity/?part=rows", headers=asked)
    assert answer.status_code == 401
    assert answer["HX-Redirect"] == "/login/?next=/activity/%3Fverb%3Ddisk"


# --- One's own account -----------------------------------------------------------------------


def change(client: Client, old: str, new: str, again: str = "") -> tuple[int, str]:
    form = {"old_password": old, "new_password1": new, "new_password2": again or new}
    answer = client.post("/settings/profile/password/", form)
    return answer.status_code, answer.content.decode()


def test_a_new_password_keeps_this_session_and_ends_the_others(viewer: User) -> None:
    here, elsewhere = sign_in()[0], sign_in()[0]
    new = "purple monkey dishwasher"
    assert change(here, PASSWORD, new)[0] == 303
    assert here.get("/settings/profile/").status_code == 200
    assert elsewhere.get("/settings/profile/").status_code == 302
    assert sign_in(password=new)[1] == 302


@pytest.mark.parametrize(
    ("old", "new", "again", "words"),
    [
        ("wrong", "purple monkey dishwasher", "", "not your present password"),
        (PASSWORD, "purple monkey dishwasher", "another", "differ"),
        (PASSWORD, PASSWORD, "", "is the old one"),
        (PASSWORD, "short", "", "at least 12 characters"),
        (PASSWORD, "password1234", "", "too common"),
    ],
)
def test_a_password_that_will_not_do_is_refused(
    viewer: User, old: str, new: str, again: str, words: str
) -> None:
    status, page = change(sign_in()[0], old, new, again)
    assert status == 422
    assert words in page
    assert sign_in()[1] == 302


def test_one_sees_and_ends_ones_sessions(viewer: User) -> None:
    here, phone = sign_in()[0], sign_in()[0]
    page = here.get("/settings/profile/").content.decode()
    (other,) = re.findall(r'name="session" value="(\w+)"', page)
    assert phone.cookies["sessionid"].value not in page
    here.post("/settings/profile/sessions/", {"session": other})
    assert phone.get("/activity/").status_code == 302
    assert here.get("/activity/").status_code == 200


def test_signing_out_everywhere_else_ends_all_others(viewer: User, project: Project) -> None:
    here, *others = (sign_in()[0] for _ in range(4))
    answer = here.post("/settings/profile/sessions/", follow=True)
    assert "Signed out in 3 other browsers" in answer.content.decode()
    assert [client.get("/activity/").status_code for client in (here, *others)] == [200] + 3 * [302]


def test_ones_own_sessions_are_found_whatever_there_is_of_others(
    viewer: User, django_assert_max_num_queries
) -> None:
    here = sign_in()[0]
    sign_in()
    later = timezone.now() + timedelta(days=30)
    Session.objects.bulk_create(
        Session(session_key=f"other{number}", session_data="", expire_date=later)
        for number in range(6_000)
    )
    with django_assert_max_num_queries(12):
        page = here.get("/settings/profile/").content.decode()
    assert page.count('name="session"') == 1
    answer = here.post("/settings/profile/sessions/", follow=True)
    assert "Signed out in 1 other browser." in answer.content.decode()


def test_sessions_of_a_former_password_are_not_listed(viewer: User) -> None:
    elsewhere = sign_in()[0]
    viewer.set_password("purple monkey dishwasher")
    viewer.save()
    here = sign_in(password="purple monkey dishwasher")[0]
    assert 'name="session"' not in here.get("/settings/profile/").content.decode()
    assert elsewhere.get("/activity/").status_code == 302


def test_open_sockets_are_told_whenever_a_session_may_have_ended(viewer: User, monkeypatch) -> None:
    told = AsyncMock()
    monkeypatch.setattr(signing_out, "look_again", told)
    client = sign_in()[0]
    client.post("/settings/profile/sessions/")
    change(client, PASSWORD, "purple monkey dishwasher")
    client.post("/logout/")
    assert told.await_args_list == 3 * [call(viewer.pk)]


def test_nobody_ends_anybody_elses_session(viewer: User, project: Project, stranger) -> None:
    owner = make_person("owner", project, stranger)
    here = sign_in()[0]
    page = owner.get("/settings/profile/").content.decode()
    assert 'name="session"' not in page
    answer = owner.post("/settings/profile/sessions/", {"session": "0" * 16}, follow=True)
    assert "no such session" in answer.content.decode() or answer.status_code == 404
    owner.post("/settings/profile/sessions/")
    assert here.get("/activity/").status_code == 200


def test_the_look_is_kept_in_cookies_and_drawn_by_the_server(viewer: User) -> None:
    client = sign_in()[0]
    client.post("/settings/profile/look/", {"theme": "dark", "density": "compact"})
    page = client.get("/settings/profile/").content.decode()
    assert '<html lang="en" data-theme="dark" data-density="compact">' in page
    answer = client.post("/settings/profile/look/", {"theme": '"><script>', "density": ""})
    assert answer.status_code == 400
