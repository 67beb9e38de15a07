"""Docker engines of a test's own, to be stopped, killed and frozen without harm to anybody."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sandboxes.engine.docker import DockerEngine
from sandboxes.engine.endpoint import Endpoint

START_SECONDS = 30.0
STOP_SECONDS = 20.0


def can_start() -> bool:
    """Tell whether this machine lets a test start an engine of its own."""
    return os.geteuid() == 0 and shutil.which("dockerd") is not None


class PrivateDocker:
    """One dockerd with a folder, a socket and a containerd of its own, and without a network."""

    def __init__(self) -> None:
        # Not pytest's tmp_path: a Unix socket's path has 107 bytes at most.
        self.folder = Path(tempfile.mkdtemp(prefix="sbd-"))
        self.socket = self.folder / "docker.sock"
        self.endpoint = Endpoint(socket_path=str(self.socket))
        self._process: subprocess.Popen[bytes] | None = None

    def engine(self) -> DockerEngine:
        return DockerEngine(self.endpoint)

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if not _within(START_SECONDS, lambda: self._answers() or not self._runs()):
            raise RuntimeError("dockerd does not answer")
        if not self._runs():
            raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        """End it as a host's shutdown does."""
        self._signal(signal.SIGTERM)
        if not _within(STOP_SECONDS, lambda: not self._runs()):
            self.kill()

    def kill(self) -> None:
        """End it as a crash does: containers and their shims stay behind."""
        self._signal(signal.SIGKILL)
        _within(STOP_SECONDS, lambda: not self._runs())
        # Its containerd ends with it. Until that is reaped the next dockerd would take it for
        # alive and wait for it.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def copy_image(self, name: str) -> None:
        """Fetch an image from the shared engine."""
        command = 'docker save "$1" | docker --host "$2" load'
        where = f"unix://{self.socket}"
        subprocess.run(["sh", "-c", command, "sh", name, where], check=True, capture_output=True)

    def destroy(self) -> None:
        """End it and everything that it started, and leave no file behind."""
        if self._process is None:
            return
        self.thaw()
        if not self._runs():
            # A dockerd that starts after a crash ends the containers that it finds.
            self.start()
        self.stop()
        self._kill_leftovers()
        self._unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self) -> list[str]:
        return [
            # With --bridge none dockerd takes docker0 away, and that is the host's: hence a
            # network namespace of its own.
            *("unshare", "--net"),
            *("dockerd", "--host", f"unix://{self.socket}"),
            *("--data-root", str(self.folder / "data")),
            *("--exec-root", str(self.folder / "exec")),
            *("--pidfile", str(self.folder / "pid")),
            *("--bridge", "none", "--iptables=false", "--ip-masq=false"),
        ]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self.socket))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(100)
        return False

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._runs():
            self._process.send_signal(number)

    def _kill_leftovers(self) -> None:
        """Kill containerd and its shims, which have our folder in their command lines."""
        mark = str(self.folder).encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)

    def _unmount(self) -> None:
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([m for m in mounts if m.startswith(f"{self.folder}/")]):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)


def _within(seconds: float, happens: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
