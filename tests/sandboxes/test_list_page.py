"""The pages that list and make sandboxes, through the whole stack, with the engine that needs no box."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient

from project import database, policy
from project.models import Activity, Project, Role
from sandboxes import guests, lifecycle
from sandboxes.engine import close_engine, get_engine
from sandboxes.models import Command, CommandStatus, Reason, Sandbox, Status
from sandboxes.options import NewSandbox
from sandboxes.views.draft import Draft
from tests.project.people import AsyncBrowser
from tests.sandboxes.test_sampling import make_row

pytestmark = pytest.mark.slow

MIB = 2**20


@pytest.fixture
async def engine(settings: Any) -> AsyncIterator[None]:
    settings.SANDBOX_ENGINE = "local"
    get_engine.cache_clear()
    yield
    await guests.close_all()
    await close_engine()
    get_engine.cache_clear()


def client_of(project: Project, name: str, role: Role) -> AsyncClient:
    user = User.objects.create_user(name, password="x")
    policy.add_member(project, user, role)
    client = AsyncBrowser(project)
    client.force_login(user)
    return client


@pytest.fixture
def member(project: Project) -> AsyncClient:
    return client_of(project, "mara", Role.MEMBER)


@pytest.fixture
def viewer(project: Project) -> AsyncClient:
    return client_of(project, "vera", Role.VIEWER)


def form(**fields: Any) -> dict[str, Any]:
    plain = {
        "name": "calm-otter",
        "image": "default",
        "size": "m",
        "lifetime": "1800",
        "network": "none",
        "env_name": ["", ""],
        "env_value": ["", ""],
        "label_name": [""],
        "label_value": [""],
    }
    return {**plain, **fields}


async def status_of(sandbox: Sandbox) -> str:
    await database.read(sandbox.refresh_from_db)
    return sandbox.status


# --- The list -------------------------------------------------------------------------------


async def test_empty_list_shows_the_first_steps(member):
    page = (await member.get("/sandboxes/")).content.decode()

    assert "Create a disk" in page
    assert "<table" not in page


async def test_list_shows_text_of_others_as_text(member, project):
    name = "<script>alert(1)</script>\"'"
    await database.write(make_row, project, name=name, created_by=name, image=name)

    page = (await member.get("/sandboxes/")).content.decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_row_tells_a_key_from_a_person_and_success_from_failure(member, project):
    made = {"name": "one", "created_by": "the API key nightly", "image": "default"}
    sandbox = await database.write(make_row, project, **made)
    await database.write(
        Command.objects.create,
        sandbox=sandbox,
        command="false",
        status=CommandStatus.EXITED,
        exit_code=3,
    )

    page = (await member.get("/sandboxes/")).content.decode()

    owner = re.search(r'<td class="c-owner.*?</td>', page, re.DOTALL)
    assert owner
    assert "#i-key" in owner[0]
    assert '<span class="clip">nightly</span>' in owner[0]
    assert re.search(r'<span class="badge badge-err"><svg.*?#i-x"/></svg>3</span>', page)


async def test_part_is_what_is_alive_of_the_page(member, project):
    sandbox = await database.write(make_row, project, name="one")

    part = (await member.get("/sandboxes/?part&state=running")).content.decode()

    assert f'id="row-{sandbox.id}"' in part
    assert "<html" not in part
    assert 'id="count"' in part
    assert "1 result · 1 total" in part


async def test_nothing_found_offers_the_way_back(member, project):
    await database.write(make_row, project)

    page = (await member.get("/sandboxes/?state=failed&sort=nonsense&page=x")).content.decode()

    assert "No sandbox matches" in page
    assert "Clear filters" in page


async def test_viewer_sees_everything_and_can_touch_nothing(viewer, project):
    sandbox = await database.write(make_row, project, name="one")

    page = (await viewer.get("/sandboxes/")).content.decode()

    assert "one" in page
    assert 'type="checkbox"' not in page
    assert "New sandbox" not in page
    assert (await viewer.get("/sandboxes/new/")).status_code == 403
    assert (await viewer.post("/sandboxes/new/", form())).status_code == 403
    answer = await viewer.post(
        "/sandboxes/bulk/", {"act": "stop", "sure": "1", "ids": [str(sandbox.id)]}
    )
    assert answer.status_code == 403
    assert await status_of(sandbox) == Status.RUNNING


# --- Several at once ------------------------------------------------------------------------


async def test_bulk_tells_what_became_of_each(engine, member, project, stranger):
    runs = await lifecycle.create(project, NewSandbox(name="runs"))
    dead = await database.write(
        make_row, project, name="dead", status=Status.KILLED, reason=Reason.KILLED
    )
    theirs = await database.write(make_row, stranger, name="theirs")
    ids = [str(it.id) for it in (runs, dead, theirs)]

    answer = await member.post(
        "/sandboxes/bulk/",
        {"act": "stop", "sure": "1", "ids": ids},
        headers={"Accept": "application/json"},
    )

    told = json.loads(answer.content)
    assert told["message"] == "1 stopped, 1 failed: dead: it had ended already, 1 not found."
    assert [it["name"] for it in told["failed"]] == ["dead"]
    assert await status_of(runs) == Status.KILLED
    assert await status_of(theirs) == Status.RUNNING
    noted = await database.read(lambda: list(Activity.objects.values_list("verb", "object_name")))
    assert ("sandbox.kill", "runs") in noted
    assert "dead" not in dict(noted).values()


async def test_bulk_pauses_resumes_and_extends(engine, member, project):
    sandbox = await lifecycle.create(project, NewSandbox(timeout=600))
    ids = [str(sandbox.id)]

    for act, status in (("pause", Status.PAUSED), ("resume", Status.RUNNING)):
        assert (await member.post("/sandboxes/bulk/", {"act": act, "ids": ids})).status_code == 303
        assert await status_of(sandbox) == status
    await member.post("/sandboxes/bulk/", {"act": "extend:3600", "ids": ids})

    await database.read(sandbox.refresh_from_db)
    assert sandbox.lifetime_seconds == pytest.approx(4200, abs=5)


async def test_stopping_is_asked_for_twice_where_no_script_asks(member, project):
    sandbox = await database.write(make_row, project, name="precious")

    answer = await member.post("/sandboxes/bulk/", {"stop": str(sandbox.id)})

    assert answer.status_code == 200
    assert "Stop precious?" in answer.content.decode()
    assert await status_of(sandbox) == Status.RUNNING


@pytest.mark.parametrize(
    "wish",
    [
        {"act": "stop"},
        {"act": "explode", "ids": "x"},
        {"act": "stop", "ids": ["x"]},
        {"act": "extend:-5", "ids": ["00000000-0000-0000-0000-000000000000"]},
        {"act": "extend:x", "ids": ["00000000-0000-0000-0000-000000000000"]},
        {"act": "pause", "ids": ["00000000-0000-0000-0000-000000000000"] * 201},
    ],
)
async def test_bulk_refuses_what_it_cannot_read(member, wish):
    assert (await member.post("/sandboxes/bulk/", wish)).status_code == 400


# --- A new one ------------------------------------------------------------------------------


async def test_form_makes_the_sandbox_it_describes(engine, member, project):
    answer = await member.post(
        "/sandboxes/new/",
        form(
            size="custom",
            cpus="0,5",
            memory="512",
            workspace="100",
            lifetime="custom",
            minutes="20",
            env_name=["A", "", "B"],
            env_value=["1", "", " two "],
            label_name=["team"],
            label_value=["blue"],
            records="on",
        ),
    )

    sandbox = await database.read(Sandbox.objects.get)
    assert answer.status_code == 303
    assert answer["Location"] == f"/sandboxes/{sandbox.id}/"
    assert (sandbox.name, sandbox.cpus, sandbox.created_by) == ("calm-otter", 0.5, "mara")
    assert (sandbox.memory_bytes, sandbox.workspace_bytes) == (512 * MIB, 100 * MIB)
    assert sandbox.lifetime_seconds == 1200
    assert sandbox.environment == {"A": "1", "B": " two "}
    assert sandbox.labels == {"team": "blue"}
    assert sandbox.records_terminals
    assert await database.read(Activity.objects.filter(verb="sandbox.create", actor="mara").exists)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"size": "custom", "cpus": "many", "memory": "512", "workspace": "1"}, "Type a number."),
        ({"size": "custom", "cpus": "99", "memory": "512", "workspace": "1"}, "At most 4.0 is"),
        ({"size": "custom", "cpus": "1", "memory": "nan", "workspace": "1"}, "above 0"),
        ({"size": "custom", "cpus": "1", "memory": "512", "workspace": "400"}, "files live in mem"),
        ({"size": "huge"}, "Choose a size."),
        ({"size": "custom", "cpus": "1", "memory": "256", "workspace": "200"}, "256 MB of memory"),
        ({"size": "custom", "cpus": "1", "memory": "1", "workspace": "1"}, "Must be 64 MB at"),
        ({"lifetime": "custom", "minutes": ""}, "of minutes, from 1 to 1440."),
        ({"lifetime": "custom", "minutes": "-1"}, "of minutes, from 1 to 1440."),
        ({"lifetime": "custom", "minutes": "0"}, "of minutes, from 1 to 1440."),
        ({"lifetime": "custom", "minutes": "999999999999"}, "of minutes, from 1 to 1440."),
        ({"lifetime": "1"}, "Must be 10 seconds at least."),
        ({"lifetime": "never"}, "is not allowed here"),
        ({"image": "evil:latest"}, "is not offered here"),
        ({"network": "host"}, "is offered here"),
        ({"env_name": ["1A"], "env_value": ["x"]}, "is not the name of a variable"),
        ({"env_name": ["A", "A"], "env_value": ["1", "2"]}, "A is there twice."),
        ({"label_name": [""], "label_value": ["x"]}, "A value has no name."),
        ({"name": "n" * 201}, "200 characters at most."),
    ],
)
async def test_what_is_wrong_is_said_at_its_field(engine, member, fields, problem):
    answer = await member.post("/sandboxes/new/", form(**fields))

    page = answer.content.decode()
    assert answer.status_code == 422
    errors = re.findall(r'<p class="error" data-error="\w+">.*?<span>(.*?)</span></p>', page)
    assert any(problem.lower() in error.lower() for error in errors), errors
    assert f'value="{fields.get("name", "calm-otter")}"' in page
    assert not await database.read(Sandbox.objects.exists)


async def test_what_one_gets_is_told_whatever_else_is_wrong(engine, member):
    told = "when the form is complete"
    wrong_name = await member.post("/sandboxes/new/", form(name="n" * 201))
    assert told not in wrong_name.content.decode()
    wrong_size = await member.post("/sandboxes/new/", form(size="xxl"))
    assert told in wrong_size.content.decode()


async def test_refusal_keeps_the_form(engine, member, project, settings):
    settings.SANDBOX_MAX_PER_PROJECT = 0

    answer = await member.post("/sandboxes/new/", form(env_name=["KEY"], env_value=["<b>"]))

    page = answer.content.decode()
    assert answer.status_code == 429
    assert "The sandbox was not made. The project has 0 sandboxes alive" in page
    assert 'value="KEY"' in page
    assert 'value="&lt;b&gt;"' in page


async def test_call_is_what_the_form_says(member, api):
    answer = await member.post(
        "/sandboxes/new/?part",
        form(name="it's mine", size="l", lifetime="3600", env_name=["A"], env_value=["$x"]),
    )

    page = answer.content.decode()
    assert "<html" not in page
    assert "1 hour after its last use" in page
    body = re.search(r"-d (&#x27;.*?)</pre>", page, re.DOTALL)
    assert body is not None
    assert "it&#x27;&quot;&#x27;&quot;&#x27;s mine" in body[1]
    assert "&quot;timeout&quot;: 3600" in body[1]
    assert "&quot;A&quot;: &quot;$x&quot;" in body[1]


async def test_one_more_like_another(engine, member, project, stranger, settings):
    settings.SANDBOX_IMAGES = ["node:22"]
    model = await database.write(
        make_row,
        project,
        image="node:22",
        labels={"team": "red"},
        environment={"A": "1"},
        lifetime_seconds=1000,
        status=Status.KILLED,
    )
    theirs = await database.write(make_row, stranger, environment={"secret": "x"})

    page = (await member.get(f"/sandboxes/new/?like={model.id}")).content.decode()
    draft = Draft.like(model)

    assert 'value="node:22" checked' in page
    assert 'value="team"' in page
    assert (draft.size, draft.lifetime, draft.minutes) == ("custom", "custom", "17")
    for like in (theirs.id, "nonsense"):
        other = (await member.get(f"/sandboxes/new/?like={like}")).content.decode()
        assert 'value="secret"' not in other
        assert 'value="default" checked' in other
    # Who sees the values of variables is on record, whatever page shows them.
    seen = await database.read(
        lambda: list(Activity.objects.filter(verb="sandbox.show_environment"))
    )
    assert [line.object_id for line in seen] == [str(model.id)]
