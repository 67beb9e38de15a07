"""What runs in boxes needs Python 3.8 and its standard library, and nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from sandboxes.guest import agent
from sandboxes.guest.command import RELAY, agent_command, relay_command

# The kernel takes no single argument above 128 KiB.
LONGEST_ARGUMENT = 128 * 1024
SOURCES = [Path(agent.__file__).read_text(), RELAY]
NEWER = {
    "removeprefix", "removesuffix", "pidfd_open", "waitstatus_to_exitcode",
    "cache", "pairwise", "batched", "bit_count", "to_thread", "randbytes",
}  # fmt: skip
both = pytest.mark.parametrize("source", SOURCES, ids=["agent", "relay"])


@both
def test_syntax_is_that_of_python_38(source):
    ast.parse(source, feature_version=(3, 8))


@both
def test_imports_are_of_the_standard_library(source):
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])

    assert imported
    assert imported <= sys.stdlib_module_names


@both
def test_calls_of_later_versions_are_not_used(source):
    used = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}

    assert not used & NEWER


@both
def test_types_are_not_joined_as_in_later_versions(source):
    """`dict | dict` parses everywhere, and fails before 3.9."""
    displays = (ast.Dict, ast.DictComp)
    joined = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
        if isinstance(node.left, displays) or isinstance(node.right, displays)
    ]

    assert joined == []


@pytest.mark.parametrize("command", [agent_command("x"), relay_command("x")])
def test_command_is_one_line_that_the_kernel_takes(command):
    assert all(len(argument) < LONGEST_ARGUMENT and "\n" not in argument for argument in command)
