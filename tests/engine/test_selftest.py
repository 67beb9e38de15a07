"""The self-test tells what the kernel does not enforce, and what an operator does about it."""

from __future__ import annotations

import contextlib
import copy
import uuid
from datetime import timedelta

import docker
import pytest

from sandboxes import selftest
from sandboxes.engine.base import EngineUnavailable
from sandboxes.engine.docker import DockerEngine
from sandboxes.engine.endpoint import Endpoint
from tests.engine.boxes import MIB, archive, on_docker

SPEC = selftest.probe_spec("i:1", "")


@pytest.fixture(scope="module")
def real_facts(image):
    """What the probe says in a real box."""

    async def look(engine):
        spec = selftest.probe_spec(image, "")
        async with selftest.probe_box(engine, spec):
            return await selftest._look_around(engine, spec.name)

    return on_docker(look)


@pytest.fixture
def facts(real_facts):
    return copy.deepcopy(real_facts)


def failed(facts):
    return [one.name for one in selftest.findings(SPEC, facts) if one.required and not one.ok]


@pytest.mark.docker
async def test_engine_here_passes(docker_engine, image):
    findings = await selftest.run(docker_engine, image)

    assert [finding for finding in findings if finding.required and not finding.ok] == []
    assert selftest.passed(findings)
    assert len(findings) > 20


async def probes(engine):
    """The probe boxes there are, those of servers that were killed among them."""
    return {box.name for box in await engine.list({selftest.PROBE_LABEL: "1"})}


@pytest.mark.docker
async def test_left_over_probes_are_removed_when_they_are_old(docker_engine, image, monkeypatch):
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(monkeypatch.context()).setattr(docker_engine, "remove", nothing)
        await selftest.run(docker_engine, image)
    left = await probes(docker_engine)
    assert left

    await selftest.remove_left_over(docker_engine)
    assert await probes(docker_engine) == left

    monkeypatch.setattr(selftest, "LEFT_OVER_AFTER", timedelta(0))
    await selftest.remove_left_over(docker_engine)
    assert await probes(docker_engine) == set()


async def nothing(name):
    pass


@pytest.mark.docker
async def test_probe_leaves_nothing_behind(docker_engine, image):
    before = await probes(docker_engine)

    await selftest.run(docker_engine, image)

    assert await probes(docker_engine) <= before


@pytest.mark.docker
async def test_probe_that_fails_leaves_nothing_behind(docker_engine, image, monkeypatch):
    before = await probes(docker_engine)
    monkeypatch.setattr(selftest, "PROBE", "raise SystemExit(1)")

    findings = await selftest.run(docker_engine, image)

    assert [finding.found for finding in findings] == ["Its python3 did not run the probe."]
    assert await probes(docker_engine) <= before


@pytest.mark.docker
async def test_probe_that_takes_too_long_is_ended(docker_engine, image, monkeypatch):
    before = await probes(docker_engine)
    monkeypatch.setattr(selftest, "PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(selftest, "DEADLINE_SECONDS", 2.0)

    findings = await selftest.run(docker_engine, image)

    assert [finding.found for finding in findings] == ["No answer within 2 s"]
    assert await probes(docker_engine) <= before


async def test_engine_that_is_down_is_a_finding():
    engine = DockerEngine(Endpoint(socket_path="/nonexistent"))

    findings = await selftest.run(engine, "i:1")

    assert not selftest.passed(findings)
    assert "DOCKER_HOST" in findings[0].advice
    await engine.close()


@pytest.mark.docker
@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"status": {"CapBnd": "00000000a80425fb"}}, "capabilities"),
        ({"status_1": {"Uid": "0"}}, "user"),
        ({"status": {"NoNewPrivs": "0"}}, "no new privileges"),
        ({"status": {"Seccomp": "0"}}, "system call filter"),
        ({"calls": ["io_uring"]}, "refused system calls"),
        ({"calls": None}, "refused system calls"),
        ({"root_writable": True}, "root file system"),
        ({"disks": ["/data"]}, "places on disk"),
        ({"file_systems": {"/workspace": [10**12, 10**9]}}, "size of /workspace"),
        ({"file_systems": {"/extra": [1, 1]}}, "other writable places"),
        ({"cgroup": {"memory": "9223372036854771712"}}, "memory limit"),
        ({"cgroup": {"memory": None}}, "memory limit"),
        ({"cgroup": {"pids": "max"}}, "process limit"),
        ({"cgroup": {"cpu": "max 100000", "cpu_quota": None}}, "CPU limit"),
        ({"cgroup": {"cpu": None, "cpu_quota": "-1"}}, "CPU limit"),
        ({"limits": {"core": -1}}, "limit of core"),
        ({"shm_rmid_forced": "0"}, "System V memory ends with its processes"),
        ({"interfaces": ["eth0", "lo"]}, "network interfaces"),
        ({"python": [3, 7, 9]}, "python3 in the image"),
    ],
)
def test_what_is_not_enforced_is_named(facts, change, name):
    for key, value in change.items():
        facts[key] = {**facts[key], **value} if isinstance(value, dict) else value

    assert failed(facts) == [name]


@pytest.mark.docker
def test_limits_are_read_from_the_second_version_of_cgroups_too(facts):
    facts["cgroup"] = {
        **dict.fromkeys(facts["cgroup"]),
        "memory": str(256 * MIB),
        "swap": "0",
        "pids": "32",
        "cpu": "50000 100000",
    }

    assert failed(facts) == []


@pytest.mark.docker
@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"label": None}, "AppArmor or SELinux"),
        ({"label": "unconfined"}, "AppArmor or SELinux"),
        ({"inotify_instances": "128"}, "inotify instances for all boxes together"),
        ({"cgroup": {"swap": "max", "memory_and_swap": None}}, "swap"),
    ],
)
def test_what_an_engine_may_lack_is_a_warning(facts, change, name):
    facts.update(label="docker-default (enforce)", inotify_instances="8192")
    for key, value in change.items():
        facts[key] = {**facts[key], **value} if isinstance(value, dict) else value

    findings = list(selftest.findings(SPEC, facts))

    assert [finding.name for finding in findings if not finding.ok] == [name]
    assert selftest.passed(findings)


@pytest.mark.docker
def test_every_finding_says_what_to_do(facts):
    assert all(
        finding.advice.endswith((".", "?", "8192")) for finding in selftest.findings(SPEC, facts)
    )


# Images


@pytest.mark.docker
async def test_default_image_has_no_problem(docker_engine, image):
    assert await selftest.image_problem(docker_engine, image) == ""


@pytest.mark.docker
async def test_missing_image_is_told(docker_engine):
    problem = await selftest.image_problem(docker_engine, "no/such:1")

    assert problem == "The image no/such:1 is not on the engine: pull it there first."


@pytest.fixture
async def derived_image(docker_engine, image):
    """Makes an image from the default one and some more lines of a Dockerfile."""
    names = []

    async def derive(lines):
        names.append(f"sandbank/test:{uuid.uuid4().hex[:12]}")
        dockerfile = f"FROM {image}\n{lines}\n".encode()
        await docker_engine.build_image(
            names[-1], archive("Dockerfile", dockerfile), image, {}, print
        )
        return names[-1]

    yield derive
    with contextlib.closing(docker.APIClient()) as api:
        for name in names:
            api.remove_image(name, force=True)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("RUN rm -f /usr/bin/python3*", "needs python3, 3.8 or newer"),
        ("VOLUME /data", "declares volumes (/data)"),
        ("RUN mv /bin/sh /bin/not-sh", "has no /bin/sh"),
    ],
)
async def test_image_that_cannot_carry_a_guest_is_refused(
    docker_engine, derived_image, lines, problem
):
    name = await derived_image(f"USER root\n{lines}")

    assert problem in await selftest.image_problem(docker_engine, name)


@pytest.mark.docker
def test_image_with_an_old_python_is_refused(facts):
    problem = selftest._problem_in("i:1", {**facts, "python": [3, 7, 9]})

    assert problem == "The image i:1 has Python 3.7.9: 3.8 or newer is needed."


async def test_engine_that_is_down_says_nothing_about_an_image():
    engine = DockerEngine(Endpoint(socket_path="/nonexistent"))

    with pytest.raises(EngineUnavailable):
        await selftest.image_problem(engine, "i:1")
    await engine.close()
