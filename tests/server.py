"""A real Sandbank server in a process of its own, for tests that come through its front door."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0
STOP_SECONDS = 15.0
ADMIN = "admin"
GATHERED = "static.sha256"
PASSWORD = "correct horse battery staple"


# The data folder of a server that has gathered the static files: the next ones take its.
_gathered: Path | None = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`manage.py serve` with a data folder of its own; may be killed and started again."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.data = data
        self.port = free_port()
        self.token = f"sk-ac-{secrets.token_urlsafe(32)}"
        self.environment = {
            **os.environ,
            "SANDBANK_DATA": str(data),
            "SANDBANK_API_KEY": self.token,
            "SANDBANK_ADMIN_PASSWORD": PASSWORD,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self.environment.pop("SECRET_KEY", None)
        self.log = data / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v1"

    def start(self) -> Server:
        self._take_static_files()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                httpx.get(f"{self.url}/health", timeout=2).raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                self._share_static_files()
                return self
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-4000:]}")

    def _take_static_files(self) -> None:
        """Spare this server what takes seconds and has nothing to do with its test."""
        if _gathered is None or (self.data / "static").exists():
            return
        self.data.mkdir(parents=True, exist_ok=True)
        shutil.copytree(_gathered / "static", self.data / "static", copy_function=os.link)
        shutil.copy2(_gathered / GATHERED, self.data / GATHERED)

    def _share_static_files(self) -> None:
        global _gathered
        if _gathered is None and (self.data / GATHERED).is_file():
            _gathered = self.data

    def kill(self) -> None:
        """End the server as a crash would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """End the server as Ctrl-C would. Return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def restart(self) -> Server:
        """Stop it and start it again, on the same port and the same data."""
        self.stop()
        return self.start()

    def manage(self, *arguments: str) -> str:
        """Run a management command on this server's data."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def memory_bytes(self) -> int:
        """Return the resident memory of the server's process."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return httpx.request(
            method, f"{self.api_url}{path}", headers=headers, **{"timeout": 60, **options}
        )

    def end_sandboxes(self) -> None:
        """Kill every sandbox that is alive: what a test leaves behind costs the next one memory."""
        for status in ("running", "paused"):
            page = self.request("GET", "/sandbox", params={"limit": 200, "status": status})
            for sandbox in page.json()["data"]["items"]:
                self.request("DELETE", f"/sandbox/{sandbox['sandbox_id']}")
