"""The commands that start the guest in a box, and the relay that reaches it."""

from __future__ import annotations

import base64
import zlib
from functools import cache
from pathlib import Path

# Copies its standard input to the guest's socket and back. It ends when either side does, so a
# server that dies leaves none behind. A guest that has just been started gets a moment. The pipes are made as large as an ordinary user may.
RELAY = """
import os, socket, sys, threading, time
s = socket.socket(socket.AF_UNIX)
for _ in range(1000):
    try:
        s.connect("\\0" + sys.argv[1])
        break
    except ConnectionRefusedError: time.sleep(0.005)
n = s.fileno()
def pump(a, b):
    try:
        while True:
            d = os.read(a, 262144)
            if not d: break
            d = memoryview(d)
            while d: d = d[os.write(b, d):]
    finally:
        os._exit(0)
import fcntl
for f in 0, 1:
    try: fcntl.fcntl(f, 1031, 1048576)
    except OSError: pass
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1048576)
threading.Thread(target=pump, args=(n, 1), daemon=True).start()
pump(0, n)
"""


@cache
def _packed(source: str) -> str:
    """Return a program of one line that is another program, small enough for `ps` to show."""
    packed = base64.b85encode(zlib.compress(source.encode(), 9)).decode()
    return f"import zlib,base64;exec(zlib.decompress(base64.b85decode({packed!r})))"


@cache
def _agent_source() -> str:
    return Path(__file__).with_name("agent.py").read_text()


def agent_command(socket_name: str, root: str = "") -> list[str]:
    """Return what a box runs as process 1. `root` stands for / where there is no isolation."""
    return ["python3", "-I", "-c", _packed(_agent_source()), socket_name, *([root] if root else [])]


def relay_command(socket_name: str) -> list[str]:
    """Return what is run in a box to open a link."""
    return ["python3", "-I", "-S", "-c", _packed(RELAY), socket_name]
