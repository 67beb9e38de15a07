"""Every field of a box's isolation is what security.md says it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandboxes.engine import seccomp
from sandboxes.engine.base import BoxSpec, EngineError
from sandboxes.engine.profile import container_config, file_systems, private_variables

MIB = 2**20


def spec(**changes: Any) -> BoxSpec:
    fields = {"name": "sb-1", "image": "i:1", "command": ["python3"], "labels": {"a": "b"}}
    return BoxSpec(**{**fields, **changes})


def host(**changes: Any) -> Any:
    return container_config(spec(**changes))["HostConfig"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Image", "i:1"),
        ("Entrypoint", ["python3"]),
        ("Cmd", []),
        ("User", "1000:1000"),
        ("WorkingDir", "/workspace"),
        ("Hostname", "sandbox"),
        ("AttachStdin", False),
        ("AttachStdout", False),
        ("AttachStderr", False),
        ("OpenStdin", False),
        ("Tty", False),
        ("StopSignal", "SIGKILL"),
        ("Healthcheck", {"Test": ["NONE"]}),
        ("Env", ["HOME=/home/sandbox", "LANG=C.UTF-8", "USER=sandbox"]),
        ("Labels", {"a": "b", "sandbank.box": "1", "sandbank.variables": ""}),
    ],
)
def test_container_field(field, value):
    assert container_config(spec())[field] == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Privileged", False),
        ("CapDrop", ["ALL"]),
        ("ReadonlyRootfs", True),
        ("NetworkMode", "none"),
        ("IpcMode", "private"),
        ("CgroupnsMode", "private"),
        ("Init", False),
        ("AutoRemove", False),
        ("RestartPolicy", {"Name": "no", "MaximumRetryCount": 0}),
        ("LogConfig", {"Type": "none", "Config": {}}),
        ("Memory", 1024 * MIB),
        ("MemorySwap", 1024 * MIB),
        ("NanoCpus", 1_000_000_000),
        ("CpuShares", 256),
        ("PidsLimit", 256),
        ("OomScoreAdj", 300),
        ("Runtime", ""),
    ],
)
def test_host_field(field, value):
    assert host()[field] == value


def test_no_other_field_is_sent():
    known = {
        *("Privileged", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "Tmpfs", "Sysctls"),
        *("Memory", "MemorySwap", "NanoCpus", "CpuShares", "PidsLimit", "OomScoreAdj", "Ulimits"),
        *("NetworkMode", "IpcMode", "CgroupnsMode", "Init", "LogConfig", "RestartPolicy"),
        *("AutoRemove", "Runtime"),
    }
    assert host().keys() == known


def test_rights_cannot_be_gained_and_system_calls_are_listed():
    rights, calls = host()["SecurityOpt"]

    assert rights == "no-new-privileges:true"
    assert json.loads(calls.removeprefix("seccomp=")) == seccomp.profile()


def test_user_limits_are_per_process_and_leave_room_for_the_workspace():
    limits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in host()["Ulimits"]}

    assert limits == {
        "core": (0, 0),
        "fsize": (1024 * MIB, 1024 * MIB),
        "memlock": (65536, 65536),
        "msgqueue": (0, 0),
        "nofile": (1024, 4096),
    }


def test_file_systems_are_bounded_in_bytes_and_inodes():
    assert host()["Tmpfs"] == {
        "/workspace": "rw,exec,nosuid,nodev,size=402653184,nr_inodes=49152,"
        "uid=1000,gid=1000,mode=0755",
        "/tmp": "rw,noexec,nosuid,nodev,size=49938432,nr_inodes=6096,uid=1000,gid=1000,mode=1777",
        "/home/sandbox": "rw,exec,nosuid,nodev,size=49938432,nr_inodes=6096,"
        "uid=1000,gid=1000,mode=0700",
        "/skills": "rw,exec,nosuid,nodev,size=16646144,nr_inodes=2032,uid=1000,gid=1000,mode=0755",
        "/run": "rw,noexec,nosuid,nodev,size=1048576,nr_inodes=256,uid=1000,gid=1000,mode=0755",
        "/dev/shm": "rw,noexec,nosuid,nodev,size=16646144,nr_inodes=2032,"
        "uid=1000,gid=1000,mode=1777",
    }


def test_system_v_memory_ends_with_its_processes_and_is_no_larger_than_shm():
    assert host()["Sysctls"] == {
        "kernel.shm_rmid_forced": "1",
        "kernel.shmall": str(16646144 // 4096),
    }


@pytest.mark.parametrize("memory", [64, 100, 256, 1000, 4096, 65536])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.25])
def test_files_never_take_more_than_half_of_the_memory(memory, share):
    files = file_systems(
        spec(memory_bytes=memory * MIB, workspace_bytes=max(MIB, int(memory * share * MIB)))
    )

    assert sum(fs.size for fs in files) <= memory * MIB / 2
    assert min(fs.size for fs in files) >= MIB


def test_workspace_that_does_not_fit_in_half_of_the_memory_is_refused():
    with pytest.raises(EngineError, match="600 MiB needs at least 1232 MiB of memory"):
        container_config(spec(workspace_bytes=600 * MIB))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "bridge"}, "no network"),
        ({"network": "host"}, "no network"),
        ({"command": []}, "command"),
        ({"name": "../etc"}, "name"),
        ({"name": ""}, "name"),
        ({"runtime": "io.evil/../x"}, "runtime"),
        ({"cpus": 0}, "CPUs"),
        ({"cpus": float("nan")}, "CPUs"),
        ({"pids": 1}, "processes"),
        ({"pids": -1}, "processes"),
        ({"memory_bytes": MIB}, "memory"),
        ({"memory_bytes": -1}, "memory"),
        ({"workspace_bytes": 0}, "workspace"),
    ],
)
def test_what_no_box_can_have_is_refused(changes, message):
    with pytest.raises(EngineError, match=message):
        container_config(spec(**changes))


def test_runtime_is_only_a_name():
    assert host(runtime="runsc")["Runtime"] == "runsc"


def test_caller_cannot_claim_the_labels_that_we_set():
    labels = container_config(spec(labels={"sandbank.box": "no"}))["Labels"]

    assert labels["sandbank.box"] == "1"


def test_variables_of_process_1_are_emptied_for_others():
    config = container_config(spec(environment={"TOKEN": "secret", "PATH": "/bin"}))

    assert "TOKEN=secret" in config["Env"]
    assert private_variables(config["Labels"]) == {"TOKEN": ""}
