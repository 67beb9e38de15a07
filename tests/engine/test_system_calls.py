"""What the kernel answers, in a real box, to the system calls that escapes are made of."""

from __future__ import annotations

import platform

import pytest

from tests.engine.boxes import on_docker, run

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are x86-64's"),
]

# x86-64 numbers by name.
REFUSED = {
    name: int(number)
    for name, number in (
        entry.split("=")
        for entry in [
            "io_uring_setup=425",
            "io_uring_enter=426",
            "io_uring_register=427",
            "ptrace=101",
            "process_vm_readv=310",
            "process_vm_writev=311",
            "pidfd_getfd=438",
            "process_madvise=440",
            "kcmp=312",
            "keyctl=250",
            "add_key=248",
            "request_key=249",
            "userfaultfd=323",
            "vmsplice=278",
            "memfd_secret=447",
            "bpf=321",
            "perf_event_open=298",
            "modify_ldt=154",
            "unshare=272",
            "setns=308",
            "clone3=435",
            "mount=165",
            "umount2=166",
            "pivot_root=155",
            "chroot=161",
            "move_mount=429",
            "open_tree=428",
            "fsopen=430",
            "fsconfig=431",
            "fsmount=432",
            "fspick=433",
            "mount_setattr=442",
            "kexec_load=246",
            "kexec_file_load=320",
            "init_module=175",
            "finit_module=313",
            "delete_module=176",
            "reboot=169",
            "swapon=167",
            "swapoff=168",
            "settimeofday=164",
            "clock_settime=227",
            "sethostname=170",
            "setdomainname=171",
            "iopl=172",
            "ioperm=173",
            "acct=163",
            "quotactl=179",
            "syslog=103",
            "name_to_handle_at=303",
            "open_by_handle_at=304",
            "fanotify_init=300",
            "move_pages=279",
            "migrate_pages=256",
            "set_mempolicy=238",
            "vhangup=153",
        ]
    )
}

# Gives `call`, which makes a system call and names what came of it.
CALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number, *map(ctypes.c_long, arguments))
    return "allowed" if result >= 0 else errno.errorcode[ctypes.get_errno()]
"""


@pytest.fixture(scope="module")
def answers(victim):
    program = f"{CALL}\nfor name, n in {REFUSED}.items(): print(name, call(n, 0, 0, 0, 0, 0))"
    said = on_docker(lambda engine: run(engine, victim, "python3", "-c", program))
    return dict(line.split() for line in said.splitlines())


@pytest.mark.parametrize("name", REFUSED)
def test_dangerous_call_is_refused(answers, name):
    assert answers[name] in ("EPERM", "ENOSYS")


async def test_newer_calls_are_absent_so_that_programs_take_their_older_way(answers):
    assert {answers["clone3"], answers["io_uring_setup"]} == {"ENOSYS"}


@pytest.mark.parametrize("flag", [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000])
async def test_clone_into_a_new_namespace_is_refused(py, flag):
    program = f"{CALL}\nprint(call(56, {flag} | 17, 0, 0, 0, 0)) if os.getpid() else os._exit(0)"

    assert await py(program) == "EPERM\n"


@pytest.mark.parametrize(
    ("family", "protocol", "answer"),
    [
        ("AF_UNIX", 0, "ok"),
        ("AF_INET", 0, "ok"),
        ("AF_INET6", 0, "ok"),
        ("AF_NETLINK", 0, "ok"),
        ("AF_NETLINK", 12, "EPERM"),
        ("AF_PACKET", 0, "EPERM"),
        ("AF_VSOCK", 0, "EPERM"),
        ("AF_ALG", 0, "EPERM"),
        ("AF_TIPC", 0, "EPERM"),
        ("AF_CAN", 0, "EPERM"),
        ("AF_BLUETOOTH", 0, "EPERM"),
    ],
)
async def test_socket_family(py, family, protocol, answer):
    kind = "SOCK_SEQPACKET" if family in ("AF_ALG", "AF_TIPC") else "SOCK_DGRAM"
    program = f"""
import errno, socket
try:
    socket.socket(socket.{family}, socket.{kind}, {protocol}); print("ok")
except OSError as error:
    print(errno.errorcode[error.errno])"""

    assert await py(program) == f"{answer}\n"


async def test_family_is_compared_with_all_of_its_bits(py):
    program = f"{CALL}\nprint(call(41, (1 << 32) | 40, 1, 0))"

    assert await py(program) == "EPERM\n"


async def test_32_bit_calls_do_not_get_around_the_list(py):
    """i386's getpid: mov eax, 20; int 0x80; ret."""
    program = """
import ctypes, mmap, os
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000cd80c3"))
if (child := os.fork()) == 0:
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0 else 1)
print("went through" if os.waitpid(child, 0)[1] == 0 else "stopped")"""

    assert await py(program) == "stopped\n"


async def test_x32_calls_do_not_get_around_the_list(py):
    assert await py(f"{CALL}\nprint(call(0x40000000 + 39))") in ("", "EPERM\n", "ENOSYS\n")


# What people come for still works.


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("git init -q r && cd r && git commit -q --allow-empty -m x && git log --format=%s", "x"),
        ("convert -size 9x9 xc:red a.png && file -b --mime-type a.png", "image/png"),
        ("sqlite3 a.db 'create table t(x); insert into t values(7); select * from t'", "7"),
        ("echo '{\"a\":[1]}' | jq -c .a", "[1]"),
        ("mkfifo f; (echo hi > f &) ; cat f", "hi"),
        ("echo one two | tr ' ' '\\n' | sort -r | xargs -P 2 -n 1 echo | wc -l", "2"),
        ("zip -q a.zip /etc/passwd && unzip -p a.zip | grep -c sandbox", "1"),
        ("tar cJf a.tar.xz /etc/passwd 2>/dev/null && tar tf a.tar.xz", "etc/passwd"),
        ("touch fd-test && fd --color never fd-test && rg --files | grep -c fd-test", "fd-test\n1"),
        ("setsid -w echo session", "session"),
        ("timeout 5 nice -n 5 echo polite", "polite"),
        ("diff <(echo a) <(echo a) && echo same", "same"),
    ],
)
async def test_tool_works(docker_engine, victim, script, said):
    place = "cd $(mktemp -d -p /workspace) && "

    assert await run(docker_engine, victim, "bash", "-c", place + script) == f"{said}\n"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import threading as t; x = t.Thread(target=print, args=['ran']); x.start(); x.join()", "ran"),
        ("import multiprocessing as m; print(m.Pool(2).map(abs, [-1, -2]))", "[1, 2]"),
        ("import subprocess as s; print(s.run(['echo', 'child']).returncode)", "child\n0"),
        ("import asyncio; print(asyncio.run(asyncio.sleep(0, 'looped')))", "looped"),
        ("from multiprocessing import shared_memory as m; x = m.SharedMemory(create=True, size=9);"
         "x.buf[0] = 5; print(x.buf[0]); x.close(); x.unlink()", "5"),
        ("import os; fd = os.memfd_create('x'); os.truncate(fd, 8); print(os.fstat(fd).st_size)", "8"),
        ("import signal, time; signal.signal(14, lambda *a: print('rang'));"
         "signal.setitimer(0, 0.01); time.sleep(0.1)", "rang"),
        ("import zoneinfo, datetime; print(datetime.datetime(2026, 7, 1,"
         " tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset())", "2:00:00"),
        ("import venv; venv.create('/workspace/v', with_pip=False); print('made')", "made"),
    ],
)  # fmt: skip
async def test_python_works(py, program, said):
    assert await py(program) == f"{said}\n"
