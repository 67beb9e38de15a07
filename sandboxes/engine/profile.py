"""The isolation of a box: what a caller may ask for becomes what the engine is told.

This is the only place that decides how boxes are fenced in. `container_config` is a pure
function and takes nothing but a BoxSpec, so no caller can slip an option past it; each field
is pinned by a test. The document that it returns has the names of Docker's own API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import seccomp
from .base import BoxSpec, EngineError

KIB = 2**10
MIB = 2**20
PAGE_BYTES = 4 * KIB

# Code in a box runs as this user from process 1 on: there is no root in a box.
USER = "1000:1000"
HOME = "/home/sandbox"
WORKSPACE = "/workspace"

# Set on every box. A container without it is somebody else's and is never touched.
BOX_LABEL = "sandbank.box"
# Names the variables that only process 1 may have: see `private_variables`.
VARIABLES_LABEL = "sandbank.variables"

# A tmpfs inode costs the kernel about 1 KiB that no tmpfs size counts, so one for each 8 KiB
# of space adds at most an eighth to what the files themselves take.
BYTES_PER_INODE = 8 * KIB

# Files in tmpfs and shm are memory. Above half of the limit, filling them takes the memory
# that a new process needs, and the box can no longer be entered.
FILE_SHARE_OF_MEMORY = 0.5

# What is left of that half beside the workspace goes to the smaller file systems.
LEAST_SCRATCH_BYTES = 16 * MIB
RUN_BYTES = 1 * MIB

LEAST_MEMORY = 64 * MIB
LEAST_PIDS = 16
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
RUNTIME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}|")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """One tmpfs of a box."""

    path: str
    size: int
    flags: str
    mode: str = "0755"

    @property
    def inodes(self) -> int:
        return max(256, self.size // BYTES_PER_INODE)

    @property
    def options(self) -> str:
        """Return the options as the kernel's mount knows them."""
        owner = "uid=1000,gid=1000"
        return f"rw,{self.flags},size={self.size},nr_inodes={self.inodes},{owner},mode={self.mode}"


def container_config(spec: BoxSpec) -> dict[str, Any]:
    """Return the engine's document for a box, or say what in the spec cannot be had."""
    _check(spec)
    return {
        "Image": spec.image,
        # As the entry point, so that an image's own entry point and command are not used.
        "Entrypoint": list(spec.command),
        "Cmd": [],
        "User": USER,
        "Env": [f"{name}={value}" for name, value in _environment(spec).items()],
        "WorkingDir": WORKSPACE,
        "Hostname": "sandbox",
        "Labels": {
            **spec.labels,
            BOX_LABEL: "1",
            VARIABLES_LABEL: ",".join(sorted(spec.environment)),
        },
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        "StopSignal": "SIGKILL",
        "Healthcheck": {"Test": ["NONE"]},  # an image's own check would run outside any limit
        "HostConfig": _host_config(spec),
    }


def file_systems(spec: BoxSpec) -> list[FileSystem]:
    """Share half of a box's memory out among all that can be written to in it."""
    available = int(spec.memory_bytes * FILE_SHARE_OF_MEMORY)
    scratch = available - spec.workspace_bytes
    if scratch < LEAST_SCRATCH_BYTES:
        least = (spec.workspace_bytes + LEAST_SCRATCH_BYTES) / FILE_SHARE_OF_MEMORY
        raise EngineError(
            f"A workspace of {_mib(spec.workspace_bytes)} needs at least {_mib(least)} of memory:"
            " files live in memory, and half of it is kept for processes."
        )
    part = (scratch - RUN_BYTES) // 8 // PAGE_BYTES * PAGE_BYTES
    return [
        FileSystem(WORKSPACE, spec.workspace_bytes, "exec,nosuid,nodev"),
        FileSystem("/tmp", 3 * part, "noexec,nosuid,nodev", "1777"),
        # Tools that a user installs for himself land here, and must run.
        FileSystem(HOME, 3 * part, "exec,nosuid,nodev", "0700"),
        FileSystem("/skills", part, "exec,nosuid,nodev"),
        FileSystem("/run", RUN_BYTES, "noexec,nosuid,nodev"),
        # In place of the engine's own, whose number of files has no limit.
        FileSystem("/dev/shm", part, "noexec,nosuid,nodev", "1777"),
    ]


def private_variables(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of process 1, emptied, for whatever else is run in the box.

    A spec's environment may hold a secret for process 1 alone. The engine gives it to every
    later process too, unless each of them overrides it.
    """
    names = labels.get(VARIABLES_LABEL, "").split(",")
    return {name: "" for name in names if name not in ("", "PATH")}  # PATH finds the program


def _host_config(spec: BoxSpec) -> dict[str, Any]:
    tmpfs = {fs.path: fs for fs in file_systems(spec)}
    return {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp.profile_json()}"],
        "ReadonlyRootfs": True,
        "Tmpfs": {path: fs.options for path, fs in tmpfs.items()},
        # Segments of System V memory outlive their processes and count as nobody's. These end
        # with the last process that has one, and together stay as small as /dev/shm.
        "Sysctls": {
            "kernel.shm_rmid_forced": "1",
            "kernel.shmall": str(tmpfs["/dev/shm"].size // PAGE_BYTES),
        },
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,  # memory and swap together, so: no swap
        "NanoCpus": int(spec.cpus * 1e9),
        "CpuShares": max(2, int(spec.cpus * 256)),  # a service of the host has 1024
        "PidsLimit": spec.pids,
        "OomScoreAdj": 300,  # a host short of memory ends boxes before its own services
        "Ulimits": _ulimits(spec),
        "NetworkMode": "none",
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Init": False,  # the guest is process 1 and reaps
        # A box's stdout would otherwise fill the host's disk past every limit of the box.
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,  # it would take the exit code along
        "Runtime": spec.runtime,
    }


def _ulimits(spec: BoxSpec) -> list[dict[str, Any]]:
    """Return the limits of each process.

    nproc and sigpending are missing on purpose: the kernel counts them for a user id across
    all boxes, so one box would use up another's. pids does the first per box.
    """
    limits = {
        "core": (0, 0),
        "fsize": (spec.memory_bytes, spec.memory_bytes),  # above any file system of the box
        "memlock": (64 * KIB, 64 * KIB),
        "msgqueue": (0, 0),
        "nofile": (1024, 4096),
    }
    return [{"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in limits.items()]


def _environment(spec: BoxSpec) -> dict[str, str]:
    return {"HOME": HOME, "LANG": "C.UTF-8", "USER": "sandbox", **spec.environment}


def _check(spec: BoxSpec) -> None:
    """Refuse what no box can have."""
    for fine, message in (
        (NAME.fullmatch(spec.name), "A box's name has 2 to 128 letters, digits, dots or dashes."),
        (spec.command, "A box needs a command to run."),
        (spec.network == "none", f"Boxes have no network: {spec.network!r} cannot be had."),
        (RUNTIME.fullmatch(spec.runtime), f"{spec.runtime!r} is not the name of a runtime."),
        (0.01 <= spec.cpus <= 1024, f"A box can have 0.01 to 1024 CPUs, not {spec.cpus}."),
        (spec.memory_bytes >= LEAST_MEMORY, f"A box needs {_mib(LEAST_MEMORY)} of memory."),
        (spec.workspace_bytes >= MIB, f"A workspace needs at least {_mib(MIB)}."),
        (spec.pids >= LEAST_PIDS, f"A box needs room for at least {LEAST_PIDS} processes."),
    ):
        if not fine:
            raise EngineError(message)


def _mib(size: float) -> str:
    return f"{size / MIB:.0f} MiB"
