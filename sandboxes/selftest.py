"""The self-test: does the kernel here enforce what the isolation profile asks for?

Engines drop options that their kernel lacks, and say nothing. So a probe box is started with
the profile of every box, and looks around from inside. Run when the server starts and on the
doctor page. Also here: whether an image that the operator lists can carry a guest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandboxes.engine.base import BoxSpec, Engine, EngineError, EngineUnavailable, ImageNotFound
from sandboxes.engine.docker import DockerEngine
from sandboxes.engine.profile import MIB, container_config, file_systems

log = logging.getLogger(__name__)

PROBE = (Path(__file__).parent / "engine" / "probe.py").read_text()
# The finding that nothing could be found out.
PROBE_BOX = "probe box"
PROBE_LABEL = "sandbank.probe"
# A probe box ends itself, should nobody be left to remove it.
SLEEP = ("python3", "-I", "-c", "import time; time.sleep(120)")
LEFT_OVER_AFTER = timedelta(minutes=5)
DEADLINE_SECONDS = 60.0
LONGEST_ANSWER = 2**20

OLDEST_PYTHON = (3, 8)
# Boxes share this number, because they share a user id.
FEWEST_INOTIFY_INSTANCES = 1024

type Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. One that is not required is a warning when it is not ok."""

    name: str
    ok: bool
    expected: str
    found: str
    advice: str
    required: bool = True


class ProbeFailed(EngineError):
    """The probe box could not be looked into; the message says how far it got."""


async def run(engine: Engine, image: str, runtime: str = "") -> list[Finding]:
    """Start a probe box, look around in it, and remove it whatever happens."""
    if engine.name == "local":
        return [_local()]
    spec = probe_spec(image, runtime)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS), probe_box(engine, spec):
            facts = await _look_around(engine, spec.name)
            log_driver = await _log_driver(engine, spec.name)
    except (EngineError, TimeoutError) as error:
        return [_no_probe(error)]
    return [*findings(spec, facts), _log(log_driver)]


def passed(results: Iterable[Finding]) -> bool:
    """Tell whether boxes may be started after these findings."""
    return all(finding.ok or not finding.required for finding in results)


async def image_problem(engine: Engine, image: str, runtime: str = "") -> str:
    """Say in a sentence why boxes cannot be made from an image, or return "".

    Raises EngineUnavailable.
    """
    spec = probe_spec(image, runtime)
    try:
        await engine.image(image)
        async with asyncio.timeout(DEADLINE_SECONDS), probe_box(engine, spec):
            facts = await _look_around(engine, spec.name)
    except ImageNotFound:
        return f"The image {image} is not on the engine: pull it there first."
    except EngineUnavailable:
        raise
    except (EngineError, TimeoutError) as error:
        return (
            f"The image {image} cannot run the guest ({error}) It needs python3,"
            f" {_version(OLDEST_PYTHON)} or newer."
        )
    return _problem_in(image, facts)


def findings(spec: BoxSpec, facts: Facts) -> Iterator[Finding]:
    """Compare what was found with what the profile asked for."""
    yield from _rights(facts)
    yield from _files(spec, facts)
    yield from _resources(spec, facts)
    yield _exactly(
        "network interfaces",
        "lo",
        " ".join(facts["interfaces"]),
        "The engine gave a box a network. Do not run boxes on it: check its runtime.",
    )
    yield _python(facts)
    yield from _warnings(facts)


def _rights(facts: Facts) -> Iterator[Finding]:
    mine, first = facts["status"], facts["status_1"]
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    found = {int(status.get(name, "f"), 16) for status in (mine, first) for name in sets}
    yield _exactly(
        "capabilities", "0", " ".join(f"{one:x}" for one in sorted(found)),
        "The engine or its runtime grants capabilities in spite of CapDrop: check the runtime.",
    )  # fmt: skip
    yield _exactly(
        "user", "1000", _both(mine, first, "Uid"),
        "Boxes do not run as user 1000: the runtime ignores the user.",
    )  # fmt: skip
    yield _exactly(
        "no new privileges", "1", _both(mine, first, "NoNewPrivs"),
        "Programs could gain rights by setuid: use a kernel and a runtime that know no_new_privs.",
    )  # fmt: skip
    yield _exactly(
        "system call filter", "2", _both(mine, first, "Seccomp"),
        "The filter is not applied: the kernel needs CONFIG_SECCOMP_FILTER, the runtime libseccomp.",
    )  # fmt: skip
    calls = facts["calls"]
    yield _exactly(
        "refused system calls", "all", "unknown" if calls is None else _all_but(calls),
        "The filter lets through what it should refuse: is the runtime's libseccomp too old?",
    )  # fmt: skip


def _files(spec: BoxSpec, facts: Facts) -> Iterator[Finding]:
    yield _exactly(
        "root file system", "read-only", "writable" if facts["root_writable"] else "read-only",
        "A box could fill the engine's disk: the runtime ignores ReadonlyRootfs.",
    )  # fmt: skip
    yield _exactly(
        "places on disk", "none", " ".join(facts["disks"]) or "none",
        "The image declares a volume. Use an image without a VOLUME line.",
    )  # fmt: skip
    found = facts["file_systems"]
    for fs in file_systems(spec):
        yield _exactly(
            f"size of {fs.path}",
            f"{fs.size} bytes, {fs.inodes} files",
            "{} bytes, {} files".format(*found.get(fs.path, ("no limit of", "no limit of"))),
            "The kernel does not limit this tmpfs: a box could take more memory than it may.",
        )
    others = sorted(found.keys() - {fs.path for fs in file_systems(spec)})
    yield _exactly(
        "other writable places", "none", " ".join(others) or "none",
        "The runtime mounts more than it was told to: these have no limit of ours.",
    )  # fmt: skip


def _resources(spec: BoxSpec, facts: Facts) -> Iterator[Finding]:
    cgroup, missing = facts["cgroup"], "Turn the {} cgroup controller on, on the engine's host."
    yield _exactly(
        "memory limit", spec.memory_bytes, cgroup["memory"], missing.format("memory")
    )  # fmt: skip
    yield _exactly("process limit", spec.pids, cgroup["pids"], missing.format("pids"))
    yield _exactly("CPU limit", spec.cpus, _cpus(cgroup), missing.format("cpu"))
    yield _exactly(
        "swap", "none", _swap(spec, cgroup),
        "Boxes may swap beyond their memory: turn swap off on the engine's host, or boot it"
        " with swapaccount=1.", required=False,
    )  # fmt: skip
    asked = {one["Name"]: one["Hard"] for one in container_config(spec)["HostConfig"]["Ulimits"]}
    for name, found in facts["limits"].items():
        yield _exactly(
            f"limit of {name}", asked[name], found,
            "The engine did not set this ulimit: does its service lower it (LimitNOFILE)?",
        )  # fmt: skip
    yield _exactly(
        "System V memory ends with its processes", "1", facts["shm_rmid_forced"],
        "The runtime ignores sysctls: a box could keep memory that belongs to no process.",
    )  # fmt: skip


def _python(facts: Facts) -> Finding:
    found = tuple(facts["python"])
    return Finding(
        "python3 in the image",
        found >= OLDEST_PYTHON,
        f"{_version(OLDEST_PYTHON)} or newer",
        _version(found),
        "The guest runs on the image's python3: use an image with a newer one.",
    )


def _warnings(facts: Facts) -> Iterator[Finding]:
    label = facts["label"] or "none"
    yield Finding(
        "AppArmor or SELinux",
        label not in ("none", "unconfined"),
        "a profile",
        label,
        "One fence less. Where the host's kernel has AppArmor or SELinux, turn it on for the"
        " engine.",
        required=False,
    )
    instances = int(facts["inotify_instances"] or 0)
    yield Finding(
        "inotify instances for all boxes together",
        instances >= FEWEST_INOTIFY_INSTANCES,
        f"{FEWEST_INOTIFY_INSTANCES} or more",
        str(instances),
        "A few boxes that watch files use them up for all. On the engine's host:"
        " sysctl fs.inotify.max_user_instances=8192",
        required=False,
    )


def _log(driver: str) -> Finding:
    return _exactly(
        "log driver",
        "none",
        driver,
        "What process 1 prints would fill the engine's disk: is its version older than 20.10?",
    )


def _local() -> Finding:
    return Finding(
        "isolation",
        False,
        "a container",
        "a process of this user",
        "The local engine isolates nothing. Set SANDBOX_ENGINE=docker where others have access.",
        required=False,
    )


def _no_probe(error: Exception) -> Finding:
    return Finding(
        PROBE_BOX,
        False,
        "starts and answers",
        str(error) or f"No answer within {DEADLINE_SECONDS:.0f} s",
        "Is the engine running, and may this user reach it (DOCKER_HOST, membership in the"
        " group docker)? The server's log says more.",
    )


def _problem_in(image: str, facts: Facts) -> str:
    if tuple(facts["python"]) < OLDEST_PYTHON:
        return (
            f"The image {image} has Python {_version(facts['python'])}:"
            f" {_version(OLDEST_PYTHON)} or newer is needed."
        )
    if not facts["shell"]:
        return f"The image {image} has no /bin/sh, which commands are run with."
    if facts["disks"]:
        return (
            f"The image {image} declares volumes ({', '.join(facts['disks'])}), which would be"
            " disk without a limit: use an image without a VOLUME line."
        )
    return ""


@contextlib.asynccontextmanager
async def probe_box(engine: Engine, spec: BoxSpec) -> AsyncIterator[None]:
    await remove_left_over(engine)
    try:
        await engine.create(spec)
        await engine.start(spec.name)
        yield
    finally:
        with contextlib.suppress(EngineUnavailable):  # the next probe removes it
            await engine.remove(spec.name)


async def remove_left_over(engine: Engine) -> None:
    """Remove the probes of servers that died in the middle of one."""
    now = datetime.now(UTC)
    for box in await engine.list({PROBE_LABEL: "1"}):
        if box.created_at is not None and now - box.created_at > LEFT_OVER_AFTER:
            await engine.remove(box.name)


async def _look_around(engine: Engine, name: str) -> Facts:
    stream = await engine.open_stream(name, ["python3", "-I", "-c", PROBE])
    answer = bytearray()
    try:
        while (chunk := await stream.read(LONGEST_ANSWER)) and len(answer) < LONGEST_ANSWER:
            answer += chunk
    finally:
        await stream.close()
    try:
        return dict(json.loads(answer))
    except ValueError:
        raise ProbeFailed("Its python3 did not run the probe.") from None


async def _log_driver(engine: Engine, name: str) -> str:
    return await engine.log_driver(name) if isinstance(engine, DockerEngine) else "unknown"


def probe_spec(image: str, runtime: str) -> BoxSpec:
    return BoxSpec(
        name=f"sandbank-probe-{secrets.token_hex(6)}",
        image=image,
        command=SLEEP,
        labels={PROBE_LABEL: "1"},
        cpus=0.5,
        memory_bytes=256 * MIB,
        workspace_bytes=64 * MIB,
        pids=32,
        runtime=runtime,
    )


def _exactly(
    name: str, expected: object, found: object, advice: str, required: bool = True
) -> Finding:
    found = "unknown" if found is None else found
    return Finding(name, str(expected) == str(found), str(expected), str(found), advice, required)


def _both(mine: Mapping[str, str], first: Mapping[str, str], name: str) -> str:
    """Return what both processes have, or both if they differ."""
    values = {mine.get(name, "unknown"), first.get(name, "unknown")}
    return " and ".join(sorted(values))


def _all_but(calls: Iterable[str]) -> str:
    allowed = ", ".join(calls)
    return f"not {allowed}" if allowed else "all"


def _cpus(cgroup: Mapping[str, str | None]) -> str | float:
    """Return the limit in CPUs: v2 has quota and period in one file, v1 in two."""
    quota, _, period = (cgroup["cpu"] or "").partition(" ")
    quota, period = quota or cgroup["cpu_quota"] or "", period or cgroup["cpu_period"] or ""
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else "none"


def _swap(spec: BoxSpec, cgroup: Mapping[str, str | None]) -> str:
    if cgroup["swap"] == "0" or cgroup["memory_and_swap"] == str(spec.memory_bytes):
        return "none"
    return cgroup["swap"] or cgroup["memory_and_swap"] or "unknown"


def _version(numbers: Iterable[int]) -> str:
    return ".".join(map(str, numbers))
