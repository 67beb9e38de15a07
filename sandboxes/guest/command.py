"""The commands that start the guest in a box, and the relay that reaches it."""

from __future__ import annotations

import base64
import zlib
from functools import cache
from pathlib import Path

# Hands its standard input and output to the guest, which from then on speaks to the server
# directly, and waits until the guest lets go of them. It ends with the guest, and the guest lets
# go when the server does, so neither leaves one behind. A guest that has just been started gets
# a moment. The pipes are made as large as an ordinary user may.
RELAY = """
import fcntl, socket, struct, sys, time
s = socket.socket(socket.AF_UNIX)
for _ in range(1000):
    try:
        s.connect("\\0" + sys.argv[1])
        break
    except ConnectionRefusedError: time.sleep(0.005)
for f in 0, 1:
    try: fcntl.fcntl(f, 1031, 1048576)
    except OSError: pass
s.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("2i", 0, 1))])
s.recv(1)
"""


@cache
def _packed(source: str) -> str:
    """Return a program of one line that is another program, small enough for `ps` to show."""
    packed = base64.b85encode(zlib.compress(source.encode(), 9)).decode()
    return f"import zlib,base64;exec(zlib.decompress(base64.b85decode({packed!r})))"


@cache
def _agent_source() -> str:
    return Path(__file__).with_name("agent.py").read_text()


def agent_command(socket_name: str) -> list[str]:
    """Return what a box runs as process 1."""
    return ["python3", "-I", "-c", _packed(_agent_source()), socket_name]


def relay_command(socket_name: str) -> list[str]:
    """Return what is run in a box to open a link."""
    return ["python3", "-I", "-S", "-c", _packed(RELAY), socket_name]
