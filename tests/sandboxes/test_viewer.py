"""What the viewers of terminals and of commands share, without a box behind them."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from django.contrib.auth.models import User

from project import database, events
from project.models import Project, Role
from project.policy import Member, add_member
from sandboxes.consumers import viewer
from sandboxes.consumers.viewer import Viewer
from sandboxes.consumers.visitor import Visitor
from sandboxes.models import Sandbox

pytestmark = pytest.mark.usefixtures("transactional_db")


class Page(Viewer):
    """Says when it hears of its sandbox, and of a group of its own."""

    async def connect(self) -> None:
        scope: Any = self.scope
        self.visitor = scope["visitor"]
        await self.accept()
        await self.join("page")
        self.spawn(self.watch_visitor())

    def sandbox_changed(self) -> None:
        self.spawn(self.send("sandbox"))

    async def page_said(self, event: dict[str, Any]) -> None:
        await self.send("page")


async def hears(page: ApplicationCommunicator, sandbox: Sandbox) -> set[str]:
    """Return what a page hears of by and by."""
    heard: set[str] = set()
    layer: Any = get_channel_layer()
    for _ in range(20):
        await events.changed(sandbox.project_id, "sandbox", sandbox.pk)
        await layer.group_send("page", {"type": "page.said"})
        while not await page.receive_nothing(timeout=0.05):
            heard.add((await page.receive_output())["text"])
        if heard == {"sandbox", "page"}:
            break
    return heard


@pytest.mark.slow
async def test_a_viewer_that_the_layer_put_out_joins_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def visit() -> Visitor:
        user = User.objects.create_user("mia")
        add_member(project, user, Role.VIEWER)
        sandbox = Sandbox.objects.create(
            project=project, image="i", cpus=1, memory_bytes=1, workspace_bytes=1, pids=1
        )
        return Visitor(Member(user, project, Role.VIEWER), sandbox)

    visitor = await database.write(visit)

    async def visitor_of(*_: object) -> Visitor:
        return visitor

    monkeypatch.setattr(viewer, "LOOK_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(viewer, "visitor_of", visitor_of)
    scope: Any = {"type": "websocket", "visitor": visitor}
    page = ApplicationCommunicator(Page.as_asgi(), scope)
    await page.send_input({"type": "websocket.connect"})
    await page.receive_output()
    assert await hears(page, visitor.sandbox) == {"sandbox", "page"}
    # As it does with a page whose socket takes nothing for a minute.
    layer: Any = get_channel_layer()
    layer.groups.clear()
    assert await hears(page, visitor.sandbox) == {"sandbox", "page"}
    await page.send_input({"type": "websocket.disconnect", "code": 1000})
    await page.wait()
    assert layer.groups == {}
