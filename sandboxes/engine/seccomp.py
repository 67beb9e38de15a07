"""The system calls that code in a box may make: an allow-list of our own.

Everything not named here is refused with EPERM. The list was drawn up from what shells,
Python, Node, git, compilers and image tools call, and each group says why it is here. What
a reader may miss, and why it is left out:

* io_uring_*: a second way into the kernel that no filter sees, and a steady source of bugs
* ptrace, process_vm_*, process_madvise, kcmp, pidfd_getfd: reach into other processes
* keyctl, add_key, request_key: the key store is shared by every box of the same user id
* unshare, setns, clone with namespace flags, mount and its modern family, pivot_root, chroot:
  a new user namespace would hand out capabilities inside it
* bpf, perf_event_open, userfaultfd, vmsplice, memfd_secret, modify_ldt: kernel surface that
  exploits are written with and that ordinary programs do without
* modules, kexec, reboot, swap, clocks, quotas, accounting, I/O ports: the host's affairs
* name_to_handle_at, open_by_handle_at, fanotify: ways around path checks
* every 32-bit system call: i386's socketcall would step around the rule on socket families
"""

from __future__ import annotations

import json
from typing import Any

# The engine's file format has these words.
ALLOW = "SCMP_ACT_ALLOW"
REFUSE = "SCMP_ACT_ERRNO"
EQUAL = "SCMP_CMP_EQ"
MASKED_EQUAL = "SCMP_CMP_MASKED_EQ"

EPERM = 1
ENOSYS = 38

# Native system calls only. Naming no sub-architecture is what shuts i386 and x32 out.
ARCHITECTURES = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64")

FILES = """
    access faccessat faccessat2 chdir fchdir getcwd umask
    open openat openat2 creat close close_range
    read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek
    stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs
    fstatfs64 readlink readlinkat getdents getdents64
    mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat
    chmod fchmod fchmodat fchmodat2 chown chown32 lchown lchown32 fchown fchown32 fchownat
    utime utimes utimensat utimensat_time64 futimesat
    truncate truncate64 ftruncate ftruncate64 fallocate fadvise64 fadvise64_64 readahead
    copy_file_range sendfile sendfile64 splice tee
    sync fsync fdatasync syncfs sync_file_range sync_file_range2
    getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat
    listxattr llistxattr flistxattr listxattrat
    removexattr lremovexattr fremovexattr removexattrat
    dup dup2 dup3 fcntl fcntl64 flock ioctl pipe pipe2
    mknod mknodat
    inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
    cachestat
"""  # mknod makes named pipes; device nodes need a capability that no box has

MEMORY = """
    brk mmap mmap2 munmap mremap mprotect madvise mincore msync map_shadow_stack mseal
    mlock mlock2 munlock mlockall munlockall membarrier memfd_create remap_file_pages
    pkey_alloc pkey_free pkey_mprotect get_mempolicy
"""

PROCESSES = """
    fork vfork execve execveat exit exit_group wait4 waitid waitpid
    getpid getppid gettid getpgid getpgrp setpgid getsid setsid
    kill tkill tgkill pidfd_open pidfd_send_signal
    prctl arch_prctl rseq set_tid_address set_robust_list get_robust_list restart_syscall
    set_thread_area get_thread_area
    getpriority setpriority ioprio_get ioprio_set
    sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam
    sched_getscheduler sched_setscheduler sched_getattr sched_setattr
    sched_get_priority_min sched_get_priority_max sched_rr_get_interval
    sched_rr_get_interval_time64
    getrlimit setrlimit ugetrlimit prlimit64 getrusage times getcpu
    riscv_flush_icache riscv_hwprobe
"""

# Each asks for what the process already has: without capabilities none of them gains anything,
# and programs that drop rights call them all.
IDENTITY = """
    getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32
    getresuid getresuid32 getresgid getresgid32 getgroups getgroups32
    setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32
    setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32
    setgroups setgroups32 capget capset
"""

SIGNALS = """
    rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigreturn rt_sigqueueinfo
    rt_tgsigqueueinfo rt_sigtimedwait rt_sigtimedwait_time64 sigaltstack sigreturn
    signalfd signalfd4 alarm pause
"""

TIME = """
    time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64
    nanosleep clock_nanosleep clock_nanosleep_time64 getitimer setitimer
    timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
    timer_settime64
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
"""

WAITING = """
    select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait
    epoll_pwait2 eventfd eventfd2
    futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue
    io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64
"""

# socket and socketpair are below, with the families that they may ask for.
SOCKETS = """
    bind connect listen accept accept4 shutdown
    getsockname getpeername getsockopt setsockopt
    send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64
"""

# A box has an IPC namespace of its own, so these meet nobody else's.
SHARED_MEMORY_AND_QUEUES = """
    shmget shmat shmdt shmctl semget semop semtimedop semtimedop_time64 semctl
    msgget msgsnd msgrcv msgctl
    mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64
    mq_notify mq_getsetattr
"""

# Programs that fence themselves in further may do so.
SELF_RESTRAINT = """
    seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
"""

MACHINE = """
    uname sysinfo getrandom
"""

GROUPS = (
    FILES,
    MEMORY,
    PROCESSES,
    IDENTITY,
    SIGNALS,
    TIME,
    WAITING,
    SOCKETS,
    SHARED_MEMORY_AND_QUEUES,
    SELF_RESTRAINT,
    MACHINE,
)

# Said to be unknown instead of forbidden, so that programs take their older way: the C library
# goes from clone3 (whose flags a filter cannot read) to clone, event loops from io_uring to epoll.
ABSENT = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
NETLINK_ROUTE = 0  # lists interfaces and addresses; the other protocols configure the kernel

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET together.
NAMESPACE_FLAGS = 0x7E02_0000

# personality(2): the default, the 32-bit uname that setarch asks for, and "tell me".
PERSONALITIES = (0x0, 0x8, 0xFFFF_FFFF)


def profile() -> dict[str, Any]:
    """Return the list in the engine's format."""
    return {
        "defaultAction": REFUSE,
        "defaultErrnoRet": EPERM,
        "archMap": [{"architecture": name, "subArchitectures": []} for name in ARCHITECTURES],
        "syscalls": [
            {"names": allowed_names(), "action": ALLOW},
            *(_allow("socket", (0, family)) for family in (AF_UNIX, AF_INET, AF_INET6)),
            _allow("socket", (0, AF_NETLINK), (2, NETLINK_ROUTE)),
            _allow("socketpair", (0, AF_UNIX)),
            *(_allow("personality", (0, value)) for value in PERSONALITIES),
            {
                "names": ["clone"],
                "action": ALLOW,
                "args": [{"index": 0, "value": NAMESPACE_FLAGS, "valueTwo": 0, "op": MASKED_EQUAL}],
            },
            {"names": list(ABSENT), "action": REFUSE, "errnoRet": ENOSYS},
        ],
    }


def profile_json() -> str:
    """Return the list as the one line that a box's security option holds."""
    return json.dumps(profile(), separators=(",", ":"))


def allowed_names() -> list[str]:
    """Return the system calls that are allowed whatever their arguments are."""
    return sorted({name for group in GROUPS for name in group.split()})


def _allow(name: str, *arguments: tuple[int, int]) -> dict[str, Any]:
    """Allow a call only with these values at these argument positions."""
    args = [{"index": index, "value": value, "op": EQUAL} for index, value in arguments]
    return {"names": [name], "action": ALLOW, "args": args}
