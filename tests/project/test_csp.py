"""The policy of every page: nothing runs and nothing loads but what is this server's own."""

from __future__ import annotations

import re

import pytest
from django.conf import settings as django_settings
from django.test import Client

from project.models import Project
from tests.project.people import make_person
from tests.project.routes import Route, all_routes, make_things

pytestmark = pytest.mark.slow

# Not pages: what comes from people and boxes has a policy of its own, and JSON has none.
STRICT = "default-src 'self'"
INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>", re.IGNORECASE
)
HANDLER = re.compile(r"<[^>]+\son[a-z]+\s*=", re.IGNORECASE)
STYLE = re.compile(r"<style|<[^>]+\sstyle\s*=", re.IGNORECASE)
FOREIGN = re.compile(
    r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?:https?:)?//", re.IGNORECASE
)


@pytest.fixture
def pages(project: Project, stranger: Project, settings) -> dict[Route, tuple[str, str]]:
    """Every page that an administrator sees, as (policy, text)."""
    settings.SANDBOX_ENGINE = "local"
    things = make_things(project)
    client = make_person("superuser", project, stranger)
    client.raise_request_exception = False
    found = {}
    for route in all_routes():
        answer = client.get(things.address_of(route))
        if not answer.headers.get("Content-Type", "").startswith("text/html"):
            continue
        policy = answer.headers.get("Content-Security-Policy", "")
        found[route] = (policy, "" if answer.streaming else answer.content.decode())
    return found


def test_every_page_has_the_strict_policy(pages: dict[Route, tuple[str, str]]) -> None:
    assert len(pages) > 15
    for route, (policy, _) in pages.items():
        assert policy.startswith(STRICT), route
        assert "'unsafe-eval'" not in policy, route
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src "))
        assert "unsafe" not in scripts, route
        for bound in ("object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert bound in policy, route


def test_documentation_of_the_api_has_a_policy_of_its_own() -> None:
    answer = Client().get("/api/v1/docs")
    policy = answer["Content-Security-Policy"]
    assert policy.startswith(STRICT)
    # Only the lean handler serves it in earnest, without the middleware of pages.
    assert "script-src 'self'; style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer["X-Frame-Options"] == "DENY"


def test_no_page_has_anything_inline(pages: dict[Route, tuple[str, str]]) -> None:
    for route, (_, text) in pages.items():
        for pattern in (INLINE, HANDLER, STYLE, FOREIGN):
            assert pattern.search(text) is None, f"{route}: {pattern.search(text)}"


def test_the_policy_does_not_widen_by_itself() -> None:
    widened = {
        name
        for name, sources in django_settings.SECURE_CSP.items()
        if "unsafe-inline" in str(sources)
    }
    assert widened <= {"style-src-attr"}


@pytest.mark.parametrize("address", ["/login/", "/nothing/here/", "/admin/login/"])
def test_pages_for_strangers_have_it_too(client: Client, project: Project, address: str) -> None:
    answer = client.get(address)
    assert answer["Content-Security-Policy"].startswith(STRICT)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
