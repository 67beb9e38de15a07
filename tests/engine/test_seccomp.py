"""The list of system calls holds what it should and nothing else."""

from __future__ import annotations

import pytest

from sandboxes.engine import seccomp

DANGEROUS = """
    acct add_key adjtimex bpf chroot clock_adjtime clock_settime clone3 create_module
    delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick init_module
    io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl
    lookup_dcookie mbind memfd_secret migrate_pages modify_ldt mount mount_setattr move_mount
    move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open
    pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl
    quotactl_fd reboot request_key set_mempolicy setdomainname sethostname setns settimeofday
    swapoff swapon sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86
    vm86old vmsplice socket socketpair clone personality socketcall ipc
"""


@pytest.mark.parametrize("name", DANGEROUS.split())
def test_dangerous_call_is_not_allowed_whatever_its_arguments(name):
    assert name not in seccomp.allowed_names()


def test_what_is_not_listed_is_refused():
    assert seccomp.profile()["defaultAction"] == "SCMP_ACT_ERRNO"


def test_only_native_system_calls_exist():
    architectures = seccomp.profile()["archMap"]

    assert all(not architecture["subArchitectures"] for architecture in architectures)


def test_every_call_is_named_once():
    names = [name for group in seccomp.GROUPS for name in group.split()]

    assert len(names) == len(set(names))


def test_namespace_flags_are_the_kernel_s():
    flags = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)

    assert sum(flags) == seccomp.NAMESPACE_FLAGS
