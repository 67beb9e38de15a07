"""What hostile code in a box tries, and what it gets: nothing outside, and a usable box after."""

from __future__ import annotations

import asyncio
from pathlib import Path

import docker
import pytest

from sandboxes.engine.base import BoxState
from tests.engine.boxes import MIB, run, shell, start_box

pytestmark = pytest.mark.docker

WRITABLE = ("/workspace", "/tmp", "/home/sandbox", "/skills", "/run", "/dev/shm")

# Writes until it is refused and says how much there was room for.
FILL = """
import os, sys
def fill(folder):
    size = files = 0
    try:
        with open(folder + "/big", "wb", buffering=0) as big:
            while True: size += big.write(bytes(65536))
    except OSError as error: why = error.strerror
    try:
        while True: open(f"{folder}/{files}", "w").close(); files += 1
    except OSError: pass
    return size, files, why
"""


@pytest.fixture
async def box(docker_engine, make_spec):
    """A box of the test's own, to be broken."""
    return await start_box(docker_engine, make_spec())


# Rights


@pytest.mark.parametrize("process", ["1", "self"])
async def test_no_process_has_a_capability_or_can_get_one(sh, process):
    status = await sh(f"cat /proc/{process}/status")

    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {value for name, value in fields.items() if name.startswith("Cap")} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert fields["Uid"] == fields["Gid"] == "1000\t1000\t1000\t1000"
    assert fields["Groups"].strip() in ("", "1000")


async def test_nobody_becomes_root(py):
    program = "import os\ntry: os.setuid(0)\nexcept OSError as error: print(error.strerror)"

    assert await py(program) == "Operation not permitted\n"


async def test_image_has_no_setuid_program(sh):
    assert await sh("find / -xdev -type f -perm /6000 2>/dev/null") == ""


async def test_setuid_bit_gives_nothing(sh):
    script = "cp /usr/bin/id /workspace/id; chmod 6755 /workspace/id; /workspace/id -u"

    assert await sh(script) == "1000\n"


async def test_device_nodes_cannot_be_made(sh):
    assert "Operation not permitted" in await sh("mknod /workspace/sda b 8 0")


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/shmall",
        "/proc/sysrq-trigger",
        "/proc/1/oom_score_adj_",
        "/sys/kernel/mm/ksm/run",
        "/sys/fs/cgroup/x",
    ],
)
async def test_kernel_s_settings_cannot_be_written(sh, path):
    assert "cannot create" in await sh(f"echo 1 > {path}")


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list"])
async def test_kernel_s_secrets_are_masked(sh, path):
    assert await sh(f"head -c 100 {path} 2>/dev/null | wc -c") == "0\n"


async def test_cgroup_cannot_be_changed(sh):
    script = "find /sys/fs/cgroup -writable 2>/dev/null; mkdir /sys/fs/cgroup/x 2>&1 | wc -l"

    assert await sh(script) == "1\n"


async def test_killing_everything_leaves_process_1(docker_engine, box):
    await shell(docker_engine, box, "kill -9 1; kill -9 -1")

    assert (await docker_engine.get(box)).state is BoxState.RUNNING
    assert await shell(docker_engine, box, "echo alive") == "alive\n"


# Files


@pytest.mark.parametrize("path", ["/x", "/etc/hosts", "/etc/resolv.conf", "/usr/bin/x", "/root/x"])
async def test_root_is_read_only(sh, path):
    said = await sh(f"echo x >> {path}")

    assert "Read-only file system" in said or "Permission denied" in said


async def test_everything_writable_is_a_bounded_memory_file_system(sh):
    script = r"find / \( -path /proc -o -path /sys \) -prune -o -type d -writable -print"

    writable = set((await sh(f"{script} 2>/dev/null")).split()) - {"/dev/mqueue"}

    assert {folder for folder in writable if not folder.startswith(WRITABLE)} == set()
    assert set(WRITABLE) <= writable


async def test_message_queues_take_no_memory(py):
    program = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.mq_open(b"/q", os.O_CREAT | os.O_RDWR, 0o600, None), os.strerror(ctypes.get_errno()))"""

    assert await py(program) == "-1 Too many open files\n"


async def test_full_workspace_is_an_error_and_no_more(docker_engine, box):
    said = await run(docker_engine, box, "python3", "-c", f"{FILL}\nprint(fill('/workspace'))")

    assert said == f"({64 * MIB}, 8190, 'No space left on device')\n"
    assert await shell(docker_engine, box, "rm /workspace/big; echo x > /workspace/y") == ""


async def test_box_with_every_file_system_full_still_runs_commands(docker_engine, box):
    program = f"{FILL}\nprint(sum(fill(folder)[0] for folder in {WRITABLE}))"

    size = int(await run(docker_engine, box, "python3", "-c", program))

    assert 120 * MIB < size <= 128 * MIB
    assert await run(docker_engine, box, "python3", "-c", "print('alive')") == "alive\n"
    assert await shell(docker_engine, box, "rm -rf /workspace/* && echo room > /workspace/x") == ""


async def test_file_cannot_pretend_to_be_huge(sh):
    assert "File size limit exceeded" in await sh("truncate -s 10G /workspace/sparse")


async def test_temporary_files_are_not_run(sh):
    assert "Permission denied" in await sh("cp /bin/true /tmp/t && /tmp/t")


async def test_workspace_s_files_are_run(sh):
    assert await sh("cp /bin/echo /workspace/e && /workspace/e ran") == "ran\n"


async def test_flood_on_process_1_s_stdout_leaves_nothing_on_the_host(docker_engine, box):
    api = docker.APIClient()
    root, box_id = api.info()["DockerRootDir"], (await docker_engine.get(box)).id
    api.close()
    folder = Path(root) / "containers" / box_id
    if not folder.is_dir():
        pytest.skip("needs to see the engine's own files")

    await shell(docker_engine, box, "head -c 100000000 /dev/zero > /proc/1/fd/1")

    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 100_000


async def test_system_v_memory_is_bounded(py):
    program = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.shmget(0, 64 * 2**20, 0o1600), os.strerror(ctypes.get_errno()))"""

    assert await py(program) == "-1 No space left on device\n"


async def test_system_v_memory_ends_with_its_process(sh, py):
    await py("import ctypes; print(ctypes.CDLL(None).shmget(0, 2**20, 0o1600))")

    assert await sh("tail -n +2 /proc/sysvipc/shm | wc -l") == "0\n"


# Processes, memory, time


async def test_fork_bomb_meets_the_limit_and_the_box_is_usable_after(docker_engine, box):
    program = """
import os, time
children = 0
try:
    while True:
        if os.fork() == 0: time.sleep(100)
        children += 1
except OSError as error: print(children, error.strerror, flush=True)
os._exit(0)"""

    children, why = (await run(docker_engine, box, "python3", "-c", program)).split(" ", 1)

    assert 50 < int(children) < 64
    assert why == "Resource temporarily unavailable\n"


async def test_shell_s_fork_bomb_is_ended_and_harms_no_other_box(docker_engine, box, victim):
    bomb = await docker_engine.open_stream(box, ["bash", "-c", ":(){ :|:& };:"])
    await asyncio.sleep(1)

    started = asyncio.get_running_loop().time()
    assert await shell(docker_engine, victim, "echo alive") == "alive\n"
    assert asyncio.get_running_loop().time() - started < 5
    await bomb.close()
    await asyncio.wait_for(docker_engine.remove(box), 10)


async def test_memory_bomb_takes_the_bomb_and_not_the_box(docker_engine, box):
    said = await run(docker_engine, box, "python3", "-c", "b = bytearray(10**9); print('had it')")

    assert said == ""
    assert (await docker_engine.get(box)).state is BoxState.RUNNING
    assert await shell(docker_engine, box, "echo alive") == "alive\n"


async def test_open_files_are_limited_for_good(py):
    program = """
import os, resource
try: resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999))
except ValueError as error: print("refused")
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
try:
    while True: os.dup(0)
except OSError as error: print(error.strerror)"""

    assert await py(program) == "refused\nToo many open files\n"


async def test_processor_time_is_limited(docker_engine, make_spec):
    name = await start_box(docker_engine, make_spec(cpus=0.5))
    program = """
import os, time
for _ in range(2):
    if os.fork() == 0:
        end = time.monotonic() + 2
        while time.monotonic() < end: pass
        os._exit(0)
os.wait(); os.wait()
times = os.times()
print(times.children_user + times.children_system)"""

    assert float(await run(docker_engine, name, "python3", "-c", program)) < 1.5


async def test_crash_leaves_no_core(sh):
    assert await sh("cd /workspace; sh -c 'kill -SEGV $$'; ls | grep -c core") != "1\n"


# Network


async def test_there_is_no_network(sh):
    assert await sh("ls /sys/class/net; wc -l < /proc/net/route") == "lo\n1\n"


@pytest.mark.parametrize("address", ["172.17.0.1", "169.254.169.254", "10.0.0.1", "192.0.2.1"])
async def test_nothing_can_be_reached(py, address):
    program = f"""
import socket
try: socket.create_connection(("{address}", 80), 3)
except OSError as error: print(error.strerror)"""

    assert await py(program) == "Network is unreachable\n"


async def test_engine_s_socket_is_not_in_the_box(sh):
    assert await sh("ls /var/run/docker.sock /run/docker.sock 2>/dev/null") == ""


async def test_other_boxes_are_not_to_be_seen(docker_engine, make_spec, sh):
    await start_box(docker_engine, make_spec(command=["python3", "-c", "'other box'; input()"]))

    assert await sh("cat /proc/*/cmdline | tr '\\0' ' ' | grep -c 'other bo[x]']") == "0\n"
