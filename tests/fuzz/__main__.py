"""`make fuzz`: thousands of made-up requests to every operation of the OpenAPI document.

Ends with status 1 if one of them is answered with a server error. The server is a real one on
the real engine; it holds a few sandboxes at most, so that the machine stays usable. Refusals
that say 502, 503 or 507 count as errors here too: nothing is wrong with the engine.

Twice: with ids that are made up, and with those of a disk, a file and a sandbox that are there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.server import Server

# What would end or freeze what the second round needs.
SPARED = (
    "DELETE /api/v1/sandbox/{sandbox_id}",
    "POST /api/v1/sandbox/{sandbox_id}/pause",
    "DELETE /api/v1/disk/{disk_id}",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--examples", type=int, default=60, help="for each operation and round")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    options = [f"--max-examples={arguments.examples}", f"--seed={arguments.seed}"]
    with tempfile.TemporaryDirectory(prefix="sandbank-fuzz-") as folder:
        server = Server(
            Path(folder),
            SANDBOX_MAX_PER_PROJECT="3",
            SANDBOX_MEMORY_BYTES=str(256 * 2**20),
            SANDBOX_WORKSPACE_BYTES=str(64 * 2**20),
            COMMAND_MAX_SECONDS="2",
            COMMAND_SECONDS="2",
            LOG_LEVEL="WARNING",
        ).start()
        try:
            found = run(server, Path(folder, "made-up"), options)
            server.end_sandboxes()
            config = real_ids(server)
            found |= run(server, Path(folder, "real"), options, config)
        finally:
            print(server.log.read_text()[-4000:])  # noqa: T201
            server.end_sandboxes()
            server.stop()
    return found


def real_ids(server: Server) -> str:
    """Make a disk with a file and a sandbox; return what has every request use them."""
    sandbox_id = server.request("POST", "/sandbox").json()["data"]["sandbox_id"]
    disk_id = server.request("POST", "/disk").json()["data"]["id"]
    server.request("POST", f"/disk/{disk_id}/artifact", files={"file": ("a.txt", b"hello")})
    values = {"sandbox_id": sandbox_id, "disk_id": disk_id}
    lines = ["[parameters]", *(f'{name} = "{value}"' for name, value in values.items())]
    for operation in SPARED:
        lines += ["[[operations]]", f'include-name = "{operation}"', "enabled = false"]
    return "\n".join(lines)


def run(server: Server, folder: Path, options: list[str], config: str = "") -> int:
    """Send one round of requests; return 1 if there was a server error."""
    folder.mkdir()
    (folder / "schemathesis.toml").write_text(config)
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{server.api_url}/openapi.json",
            f"--header=Authorization: Bearer {server.token}",
            "--checks=not_a_server_error",
            "--request-timeout=60",
            "--suppress-health-check=all",
            "--continue-on-failure",
            *options,
        ],
        check=False,
        cwd=folder,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
