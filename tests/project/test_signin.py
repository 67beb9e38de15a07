"""Signing in and out: slowly for who guesses, and only to pages of our own."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable
from datetime import timedelta
from itertools import repeat
from typing import Any
from unittest.mock import AsyncMock, call

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone

from project import signing_out
from project.models import Activity, AttemptCount, Membership, Project, Role, Session
from project.policy import add_member
from project.throttle import ADDRESS, KNOWN, NAME, NOTED, Attempt, mark_of
from project.views import signin
from tests.project.people import PASSWORD, Browser, make_person

pytestmark = pytest.mark.slow


@pytest.fixture
def viewer(project: Project) -> User:
    before = timezone.now()
    user = User.objects.create_user("viewer", password=PASSWORD, last_login=before)
    add_member(project, user, Role.VIEWER)
    return user


def sign_in(
    name: str = "viewer",
    password: str = PASSWORD,
    *,
    address: str = "127.0.0.1",
    client: Browser | None = None,
    **more: str,
) -> tuple[Browser, int, str]:
    client = client or Browser()
    client.defaults["REMOTE_ADDR"] = address
    answer = client.post("/login/", {"username": name, "password": password, **more})
    client.shows = Project.objects.filter(memberships__user__username=name).first()
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


# --- Guessed ---------------------------------------------------------------------------------


def pass_time(seconds: int) -> None:
    AttemptCount.objects.update(ends_at=F("ends_at") - timedelta(seconds=seconds))


def guess(names: Iterable[str], addresses: Iterable[str] = repeat("127.0.0.1")) -> None:
    for name, address in zip(names, addresses, strict=False):
        sign_in(name, "wrong", address=address)


def is_held_up(name: str = "viewer", **how: Any) -> bool:
    _, status, page = sign_in(name, **how)
    return status == 422 and "Too many attempts. Try again in " in page


MANY_ADDRESSES = [f"192.0.2.{number}" for number in range(1, 31)]
MANY_NAMES = [f"name{number}" for number in range(30)]


def test_who_guesses_has_to_wait_even_with_the_right_password(viewer: User) -> None:
    guess(repeat("viewer", NAME.most))
    pass_time(20)
    _, status, page = sign_in()
    assert status == 422
    assert re.search(r"Too many attempts. Try again in (39|40) s.", page)
    pass_time(41)
    assert sign_in()[1] == 302


def test_a_name_is_guessed_at_no_faster_from_many_addresses(viewer: User) -> None:
    guess(repeat("viewer", NAME.most), MANY_ADDRESSES)
    assert is_held_up(address="198.51.100.7")


def test_an_address_guesses_no_faster_at_many_names(viewer: User) -> None:
    guess(MANY_NAMES[: ADDRESS.most])
    assert is_held_up()
    assert is_held_up("nobody")
    assert sign_in(address="198.51.100.7")[1] == 302


def test_an_address_waits_longer_than_a_name(viewer: User) -> None:
    guess(MANY_NAMES[: ADDRESS.most])
    pass_time(NAME.seconds + 1)
    assert is_held_up()
    pass_time(ADDRESS.seconds)
    assert sign_in()[1] == 302


def test_the_addresses_of_one_network_share_their_count(viewer: User) -> None:
    guess(MANY_NAMES[: ADDRESS.most], (f"2001:db8::{number:x}" for number in range(1, 40)))
    assert is_held_up(address="2001:db8::ffff")
    assert not is_held_up(address="2001:db8:0:1::1")


def test_attempts_made_while_waiting_make_the_wait_no_longer(viewer: User) -> None:
    guess(repeat("viewer", 3 * NAME.most))
    pass_time(NAME.seconds + 1)
    assert sign_in()[1] == 302


def test_one_who_guesses_keeps_nobody_else_out(viewer: User, project: Project) -> None:
    guess(repeat("admin", NAME.most + 1))
    assert sign_in()[1] == 302


def test_a_browser_one_has_signed_in_with_is_not_held_up_by_strangers(viewer: User) -> None:
    known = sign_in()[0]
    known.post("/logout/")
    guess(repeat("viewer", NAME.most), MANY_ADDRESSES)
    guess(MANY_NAMES[: ADDRESS.most])
    assert is_held_up()
    assert not is_held_up(client=known)
    # It is a way around neither for others nor for other names.
    known.post("/logout/")
    for _ in range(KNOWN.most):
        sign_in(password="wrong", client=known)
    assert is_held_up(client=known)
    assert is_held_up("nobody", client=known)


def test_what_marks_a_browser_cannot_be_made_up(viewer: User) -> None:
    guess(repeat("viewer", NAME.most))
    for mark in ("", "viewer", mark_of("admin")):
        client = Browser()
        client.cookies[signin.MARK] = mark
        assert is_held_up(client=client)


@pytest.mark.parametrize(
    "names",
    [("viewer", "VIEWER", "Viewer", "vIewer", "viEwer"), ("viewer", " viewer", "\uff56iewer") * 2],
)
def test_another_way_to_write_a_name_is_no_way_around_the_wait(
    viewer: User, names: tuple[str, ...]
) -> None:
    guess(names)
    assert is_held_up()


def test_a_good_sign_in_forgets_the_failures_of_its_name(viewer: User) -> None:
    for _ in range(2):
        guess(repeat("viewer", NAME.most - 1))
        assert sign_in()[1] == 302


def test_an_account_of_ones_own_is_no_way_around_the_wait(viewer: User) -> None:
    for number in range(ADDRESS.most):
        sign_in(f"name{number}", "wrong")
        sign_in() if number % 4 == 0 else None
    assert is_held_up("nobody")


async def test_attempts_at_the_same_time_are_each_counted(viewer: User) -> None:
    def attempt(number: int) -> int:
        wait = Attempt("viewer", MANY_ADDRESSES[number]).begin()
        connection.close()
        return wait

    waits = await asyncio.gather(*(asyncio.to_thread(attempt, n) for n in range(20)))
    assert sum(wait == 0 for wait in waits) == NAME.most


def test_only_the_first_refusals_leave_a_line(viewer: User) -> None:
    guess(MANY_NAMES)
    guess(repeat("viewer", 2 * NAME.most), MANY_ADDRESSES)
    lines = Activity.objects.filter(verb="account.sign_in", outcome="refused")
    assert lines.filter(address="127.0.0.1").count() == NOTED
    assert lines.exclude(address="127.0.0.1").count() == NAME.most


def test_a_form_that_tries_nothing_is_not_counted(viewer: User) -> None:
    for _ in range(NAME.most + 1):
        assert sign_in(password="")[1] == 422
    assert sign_in()[1] == 302


# --- Where it leads --------------------------------------------------------------------------


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


def test_who_guesses_the_present_password_has_to_wait(viewer: User) -> None:
    client, new = sign_in()[0], "purple monkey dishwasher"
    for _ in range(KNOWN.most):
        assert "not your present password" in change(client, "wrong", new)[1]
    status, page = change(client, PASSWORD, new)
    assert (status, "Too many attempts" in page) == (422, True)
    lines = Activity.objects.filter(verb="account.password", outcome="refused")
    assert lines.count() == min(KNOWN.most, NOTED)
    AttemptCount.objects.update(ends_at=timezone.now())
    # The password was right: that is no guess.
    for _ in range(KNOWN.most + 1):
        assert "differ" in change(client, PASSWORD, new, "another")[1]
    assert change(client, PASSWORD, new)[0] == 303


def test_no_password_is_looked_at_where_others_wait_to_write(
    viewer: User, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[str] = []
    really = MD5PasswordHasher.encode

    def encode(hasher: MD5PasswordHasher, password: str, salt: str) -> str:
        where.append(threading.current_thread().name)
        return really(hasher, password, salt)

    client = sign_in()[0]
    monkeypatch.setattr(MD5PasswordHasher, "encode", encode)
    assert change(client, PASSWORD, "purple monkey dishwasher")[0] == 303
    Membership.objects.update(role=Role.OWNER)
    form = {"username": "new-one", "role": "member", "make_account": "1"}
    assert client.post("/settings/members/add/", form).status_code == 303
    assert len(where) == 3
    assert not [name for name in where if name.startswith("database")]


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


def _seen_from_elsewhere() -> str:
    """The viewer's own page, in another browser: it lists the session of the first one."""
    return sign_in()[0].get("/settings/profile/").content.decode()


def test_nobody_ends_anybody_elses_session(viewer: User, project: Project, stranger) -> None:
    owner = make_person("owner", project, stranger)
    here = sign_in()[0]
    page = owner.get("/settings/profile/").content.decode()
    assert 'name="session"' not in page
    (theirs,) = re.findall(r'name="session" value="(\w+)"', _seen_from_elsewhere())
    answer = owner.post("/settings/profile/sessions/", {"session": theirs})
    assert answer.status_code == 404
    assert "no such session" in answer.content.decode()
    owner.post("/settings/profile/sessions/")
    assert here.get("/activity/").status_code == 200


def test_the_look_is_kept_in_cookies_and_drawn_by_the_server(viewer: User) -> None:
    client = sign_in()[0]
    client.post("/settings/profile/look/", {"theme": "dark", "density": "compact"})
    page = client.get("/settings/profile/").content.decode()
    assert '<html lang="en" data-theme="dark" data-density="compact">' in page
    answer = client.post("/settings/profile/look/", {"theme": '"><script>', "density": ""})
    assert answer.status_code == 400
