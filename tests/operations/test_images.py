"""The images that an operator lists: one that can carry a guest, and one that cannot."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandboxes.image.build import default_image_name
from tests.server import Server

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]


def derive(lines: str) -> str:
    name = f"sandbank/test:{uuid.uuid4().hex[:12]}"
    subprocess.run(
        ["docker", "build", "--tag", name, "-"],
        input=f"FROM {default_image_name()}\n{lines}\n".encode(),
        check=True,
        capture_output=True,
    )
    return name


@pytest.fixture
def fit() -> Iterator[str]:
    name = derive("USER root\nRUN echo fit > /etc/mark\nUSER sandbox")
    yield name
    subprocess.run(["docker", "rmi", "--force", name], check=True, capture_output=True)


@pytest.fixture
def unfit() -> Iterator[str]:
    name = derive("USER root\nRUN rm -f /usr/bin/python3*")
    yield name
    subprocess.run(["docker", "rmi", "--force", name], check=True, capture_output=True)


def test_listed_images_are_offered_if_they_can_carry_a_guest(
    fit: str, unfit: str, tmp_path: Path
) -> None:
    server = Server(tmp_path, SANDBOX_IMAGES=f"{fit},{unfit},no/such:1").start()
    try:
        made = server.request("POST", "/sandbox", json={"image": fit})
        assert made.status_code == 201, made.text
        sandbox_id = made.json()["data"]["sandbox_id"]
        said = server.request(
            "POST", f"/sandbox/{sandbox_id}/exec", json={"command": "cat /etc/mark"}
        )
        assert said.json()["data"]["stdout"] == "fit\n"
        for name, sentence in ((unfit, "needs python3"), ("no/such:1", "not on the engine")):
            refused = server.request("POST", "/sandbox", json={"image": name})
            assert refused.status_code == 400, refused.text
            assert sentence in refused.json()["msg"]
            assert name in refused.json()["msg"]
    finally:
        server.end_sandboxes()
        server.stop()
