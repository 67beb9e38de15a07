"""`make bench`: how fast Sandbank is, as ratios against Docker's own tools in the same run.

Prints a table, keeps it in docs/benchmark.md, and ends with status 1 if a ratio is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acontext import AcontextClient

from tests.server import ROOT, Server

MIB = 2**20
GIB = 2**30
RUNS = 200
TURN = 20
CLIENTS = 16
PARALLEL_SECONDS = 8.0
FILE = "bench.bin"


@dataclass(frozen=True)
class Result:
    """One line of the table: ours, Docker's, and what their ratio must be."""

    what: str
    ours: str
    docker: str
    ratio: float
    wanted: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.ratio <= self.wanted if self.at_most else self.ratio >= self.wanted


class Bench:
    """A server, a client and a sandbox with a workspace that holds the large file."""

    def __init__(self, server: Server, size: int) -> None:
        self.server = server
        self.size = size
        self.client = self.make_client()
        body = {"workspace_size": size + 256 * MIB, "cpu": 2.0, "timeout": 3600}
        made = server.request("POST", "/sandbox", json=body)
        assert made.status_code == 201, made.text
        self.sandbox_id = made.json()["data"]["sandbox_id"]
        self.box = f"sandbank-{self.sandbox_id}"

    def make_client(self) -> AcontextClient:
        return AcontextClient(base_url=self.server.api_url, api_key=self.server.token, timeout=600)

    def run(self, client: AcontextClient, command: str) -> Any:
        result = client.sandboxes.exec_command(
            sandbox_id=self.sandbox_id, command=command, timeout=600
        )
        assert result.exit_code == 0, result
        return result

    def docker_exec(self, *argv: str, **options: Any) -> None:
        subprocess.run(["docker", "exec", "-i", self.box, *argv], check=True, **options)

    # --- exec ---

    def exec_latency(self) -> Result:
        """Both in turns of a few, so that a busy moment of the machine hits both."""
        ours: list[float] = []
        dockers: list[float] = []
        for _ in range(RUNS // TURN):
            ours += [seconds(lambda: self.run(self.client, "true")) for _ in range(TURN)]
            dockers += [seconds(lambda: self.docker_exec("true")) for _ in range(TURN)]
        mine, theirs = statistics.median(ours), statistics.median(dockers)
        return Result(
            f"exec of `true`, median of {RUNS}",
            f"{mine * 1e3:.2f} ms",
            f"{theirs * 1e3:.2f} ms",
            theirs / mine,
            10,
        )

    def exec_throughput(self) -> Result:
        clients = [self.make_client() for _ in range(CLIENTS)]
        mine = rate(lambda n: self.run(clients[n], "true"))
        theirs = rate(lambda n: self.docker_exec("true"))
        return Result(
            f"exec of `true`, {CLIENTS} clients at once",
            f"{mine:.0f}/s",
            f"{theirs:.0f}/s",
            mine / theirs,
            10,
        )

    # --- transfer ---

    def transfers(self, scratch: Path) -> list[Result]:
        disk = self.client.disks.create()
        place = f"/workspace/{FILE}"
        self.run(self.client, f"head -c {self.size} /dev/urandom > {FILE}")
        local = scratch / FILE
        results = []

        def to_host() -> None:
            with local.open("wb") as file:
                self.docker_exec("cat", place, stdout=file)

        def to_box() -> None:
            with local.open("rb") as file:
                self.docker_exec("sh", "-c", f"cat > {place}", stdin=file)

        def to_disk() -> None:
            self.client.disks.artifacts.upload_from_sandbox(
                disk_id=disk.id,
                sandbox_id=self.sandbox_id,
                sandbox_path="/workspace/",
                sandbox_filename=FILE,
                file_path="/",
            )

        def to_sandbox() -> None:
            assert self.client.disks.artifacts.download_to_sandbox(
                disk_id=disk.id,
                file_path="/",
                filename=FILE,
                sandbox_id=self.sandbox_id,
                sandbox_path="/workspace/",
            )

        for what, ours, theirs in (
            ("sandbox to disk", to_disk, to_host),
            ("disk to sandbox", to_sandbox, to_box),
        ):
            os.sync()
            theirs_rate = self.size / seconds(theirs)
            # What they left in memory must not be written out while we are measured.
            os.sync()
            if ours is to_sandbox:
                # A file is replaced only when the new one is whole: there is no room for two.
                self.run(self.client, f"rm {FILE}")
            with memory_growth(self.server) as growth:
                ours_rate = self.size / seconds(ours)
            name = f"{what}, {self.size / GIB:g} GiB"
            results.append(
                Result(name, mib(ours_rate), mib(theirs_rate), ours_rate / theirs_rate, 0.7)
            )
            results.append(
                Result(
                    f"{name}: growth of the server's memory",
                    f"{growth[0] / MIB:.0f} MiB",
                    "at most 64 MiB",
                    growth[0] / (64 * MIB),
                    1,
                    at_most=True,
                )
            )
            local.touch()
        self.client.disks.delete(disk.id)
        return results


def mib(rate_: float) -> str:
    return f"{rate_ / MIB:.0f} MiB/s"


def seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def rate(work: Callable[[int], Any]) -> float:
    """Have every client work for a while; return how often it was done in a second."""
    until = time.perf_counter() + PARALLEL_SECONDS

    def loop(number: int) -> int:
        done = 0
        while time.perf_counter() < until:
            work(number)
            done += 1
        return done

    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        total = sum(pool.map(loop, range(CLIENTS)))
    return total / (time.perf_counter() - begun)


@contextmanager
def memory_growth(server: Server) -> Any:
    """Watch the server's resident memory; the list holds its growth in bytes afterwards."""
    before = server.memory_bytes()
    highest = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            highest[0] = max(highest[0], server.memory_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    growth = [0]
    try:
        yield growth
    finally:
        done.set()
        watcher.join()
        growth[0] = highest[0] - before


def table(results: list[Result]) -> str:
    lines = ["| what | Sandbank | Docker | ratio | wanted | met |", "|---|---|---|---|---|---|"]
    for result in results:
        sign = "≤" if result.at_most else "≥"
        lines.append(
            f"| {result.what} | {result.ours} | {result.docker} | {result.ratio:.2f}"
            f" | {sign} {result.wanted:g} | {'yes' if result.met else 'NO'} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=1.0, help="size of the large file")
    parser.add_argument("--only", choices=["exec", "transfer"])
    options = parser.parse_args()
    if shutil.which("docker") is None:
        print("the docker command is needed to compare with")  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory(prefix="sandbank-bench-") as folder:
        scratch = Path(folder)
        data = scratch / "data"
        data.mkdir()
        server = Server(data, LOG_LEVEL="WARNING").start()
        try:
            results = measure(server, scratch, int(options.gib * GIB), options.only)
        finally:
            server.end_sandboxes()
            server.stop()
    text = table(results)
    print(text)  # noqa: T201
    if options.only is None:
        write_page(text)
    return 0 if all(result.met for result in results) else 1


def measure(server: Server, scratch: Path, size: int, only: str | None) -> list[Result]:
    bench = Bench(server, size)
    results: list[Result] = []
    if only != "transfer":
        results += [bench.exec_latency(), bench.exec_throughput()]
    if only != "exec":
        results += bench.transfers(scratch)
    return results


def write_page(text: str) -> None:
    machine = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    page = f"""# How fast it is

`make bench` wrote this on {datetime.now(UTC):%Y-%m-%d} ({machine}). Everything goes through the public client over
HTTP; "Docker" is `docker exec` of the same, in the same box, in the same run. Ratios are what to compare.

{text}
"""
    (ROOT / "docs" / "benchmark.md").write_text(page)


if __name__ == "__main__":
    sys.exit(main())
