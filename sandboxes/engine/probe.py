"""Runs inside a box and prints what the kernel really enforces there, as one line of JSON.

Sent as `python3 -I -c <this file>`, so it uses nothing but the standard library, and must run
on each Python that the guest runs on.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Mounts of these kinds hold no file, or files that live in memory.
KERNEL_FILE_SYSTEMS = [
    "proc",
    "sysfs",
    "devpts",
    "mqueue",
    "tmpfs",
    "devtmpfs",
    "cgroup",
    "cgroup2",
    "systemd",
]

CGROUP_FILES = {
    "memory": ("memory.max", "memory/memory.limit_in_bytes"),
    "memory_and_swap": ("memory/memory.memsw.limit_in_bytes",),
    "swap": ("memory.swap.max",),
    "pids": ("pids.max", "pids/pids.max"),
    "cpu": ("cpu.max",),
    "cpu_quota": ("cpu/cpu.cfs_quota_us", "cpu,cpuacct/cpu.cfs_quota_us"),
    "cpu_period": ("cpu/cpu.cfs_period_us", "cpu,cpuacct/cpu.cfs_period_us"),
}

STATUS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid"]
LIMITS = ("core", "fsize", "memlock", "nofile")

IO_URING_SETUP = 425  # on every kind of machine
CLONE_NEWUSER = 0x10000000
EPERM, ENOSYS = 1, 38


def facts() -> dict[str, Any]:
    return {
        "python": sys.version_info[:3],
        "shell": os.access("/bin/sh", os.X_OK),
        "status": status("self"),
        "status_1": status("1"),
        "root_writable": any(writable for path, writable, _ in mounts() if path == "/"),
        "file_systems": dict(file_systems()),
        "disks": disks(),
        "cgroup": {name: cgroup(paths) for name, paths in CGROUP_FILES.items()},
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "calls": allowed_calls(),
        "limits": {name: hard_limit(name) for name in LIMITS},
        "shm_rmid_forced": read("/proc/sys/kernel/shm_rmid_forced"),
        "inotify_instances": read("/proc/sys/fs/inotify/max_user_instances"),
        "label": read("/proc/self/attr/apparmor/current") or read("/proc/self/attr/current"),
    }


def read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip("\0\n ")
    except OSError:
        return None


def status(process: str) -> dict[str, str]:
    lines = (read("/proc/" + process + "/status") or "").splitlines()
    pairs = (line.split(":", 1) for line in lines)
    return {name: value.split()[0] for name, value in pairs if name in STATUS}


def mounts() -> Iterator[tuple[str, bool, str]]:
    """Yield the path of each mount, whether it is writable, and the file system's type."""
    for line in (read("/proc/self/mountinfo") or "").splitlines():
        fields = line.split()
        yield fields[4], "rw" in fields[5].split(","), fields[fields.index("-") + 1]


def file_systems() -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the bytes and files that each of our writable places has room for."""
    for path, writable, kind in mounts():
        if writable and kind == "tmpfs" and Path(path).is_dir() and os.access(path, os.W_OK):
            room = os.statvfs(path)
            yield path, (room.f_blocks * room.f_frsize, room.f_files)


def disks() -> list[str]:
    """Return each place where something could be written to a disk of the host."""
    return sorted(
        path for path, writable, kind in mounts() if writable and kind not in KERNEL_FILE_SYSTEMS
    )


def cgroup(paths: tuple[str, ...]) -> str | None:
    """Return a limit from where the first or the second version of cgroups has it."""
    found = (read("/sys/fs/cgroup/" + path) for path in paths)
    return next((limit for limit in found if limit is not None), None)


def allowed_calls() -> list[str] | None:
    """Return which of the calls that should be refused were not, or None if nobody can tell."""
    try:
        import ctypes
    except ImportError:
        return None
    libc, allowed = ctypes.CDLL(None, use_errno=True), []
    if libc.syscall(IO_URING_SETUP, 1, 0) >= 0 or ctypes.get_errno() not in (EPERM, ENOSYS):
        allowed.append("io_uring")
    if libc.unshare(CLONE_NEWUSER) == 0:
        allowed.append("user namespaces")
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
        allowed.append("vsock")
    except OSError:
        pass
    return allowed


def hard_limit(name: str) -> int:
    return resource.getrlimit(getattr(resource, "RLIMIT_" + name.upper()))[1]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts()) + "\n")
