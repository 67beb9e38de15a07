"""Takes the pictures that docs/ and the README show: `make pictures`, after a page has changed.

What they show is made up here, on a server of its own. It takes two minutes: charts need a past.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Page, ViewportSize, async_playwright, expect

from tests.browser import chromium
from tests.browser.steps import sign_in
from tests.sandboxes.sockets import Browser
from tests.server import ROOT, Server

FOLDER = ROOT / "docs/pictures"
SIZE: ViewportSize = {"width": 1440, "height": 900}
PAST_SECONDS = 75
BUSY = "while :; do timeout 2 yes > /dev/null; sleep {rest}; done"
# A name, and what runs in it for as long as it lives.
SANDBOXES: Mapping[str, str] = {
    "sql-notebook": BUSY.format(rest=7),
    "nightly-etl": "python3 -c 'import time; b = bytearray(200 * 2**20); time.sleep(10**6)'",
    "paper-crane": "",
    "brisk-heron": "",
    "calm-otter": "python3 -m http.server",
}
QUERY = '''def totals(rows, tenant):
    """Sum of the amounts of one tenant."""
    return sum(r.amount for r in rows if r.tenant == tenant)
'''
COMMANDS = (
    "mkdir -p src/report tests out",
    f"cat > src/report/query.py <<'X'\n{QUERY}X",
    "seq 1 400 | sed 's/^/row,/' > out/rows.csv",
    "python3 -m unittest discover -s tests",
    r"printf '\033[32m12 passed\033[0m, \033[31m1 failed\033[0m: test_totals\n'; exit 1",
    'python3 -c "print(sum(range(10**6)))"',
)
FILES: Mapping[str, bytes] = {
    "readme.md": b"# Reports\n\nFigures of *all* quarters, as tables and charts.\n\n- north\n- south\n",
    "query.py": QUERY.encode(),
    "tenants.csv": b"tenant,plan,seats\nnorth,pro,40\nsouth,team,12\neast,pro,31\n",
    "settings.json": b'{"currency": "EUR", "quarters": 4}',
    "2026/q1.csv": b"month,amount\n1,120\n2,140\n3,190\n" * 90,
    "2026/q2.csv": b"month,amount\n4,210\n5,180\n6,230\n" * 70,
    "charts/north.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "charts/south.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}
TYPED = (
    "ls -la --color",
    "cat src/report/query.py",
    "grep -rn --color=always amount src | head",
    "df -h /workspace | tail -1",
    'for n in 1 2 3; do echo "step $n of 3"; sleep 0.2; done',
)


def data(server: Server, method: str, path: str, **options: Any) -> Any:
    answer = server.request(method, path, **options)
    assert answer.is_success, answer.text
    return answer.json()["data"]


def set_up(server: Server) -> dict[str, str]:
    """Make sandboxes, files and transfers; return their ids by name."""
    ids = {}
    for name, command in SANDBOXES.items():
        wish = {"name": name, "labels": {"team": "agents"}, "timeout": 3600}
        ids[name] = data(server, "POST", "/sandbox", json=wish)["sandbox_id"]
        if command:
            data(server, "POST", f"/sandbox/{ids[name]}/process", json={"command": command})
    for command in COMMANDS:
        data(server, "POST", f"/sandbox/{ids['calm-otter']}/exec", json={"command": command})
    data(server, "POST", f"/sandbox/{ids['paper-crane']}/pause")
    server.request("DELETE", f"/sandbox/{ids['brisk-heron']}").raise_for_status()
    return ids | {"disk": make_disk(server, ids["calm-otter"])}


def make_disk(server: Server, sandbox: str) -> str:
    with Browser(server) as browser:
        answer = browser.post("/disks/new/", name="reports")
        assert answer.is_success, answer.text
        disk: str = answer.json()["url"].split("/")[2]
        for path, content in FILES.items():
            folder, _, name = path.rpartition("/")
            form = {"file_path": f"/{folder}/" if folder else "/"}
            upload = {"file": (name, content)}
            data(server, "POST", f"/disk/{disk}/artifact", files=upload, data=form)
        sides = {"source": f"disk:{disk}:/", "target": f"sandbox:{sandbox}:/workspace"}
        for name in ("tenants.csv", "2026"):
            assert browser.post("/transfer/start/", **sides, names=name).is_success
    return disk


async def take_all(server: Server) -> None:
    ids = await asyncio.to_thread(set_up, server)
    otter = f"/sandboxes/{ids['calm-otter']}/"
    both = f"left=disk:{ids['disk']}:/&right=sandbox:{ids['calm-otter']}:/workspace/"
    async with async_playwright() as playwright:
        browser = await chromium.start(playwright)
        page = await browser.new_page(base_url=server.url, viewport=SIZE, color_scheme="light")
        await sign_in(page)
        await page.wait_for_timeout(PAST_SECONDS * 1000)
        await take(page, "sandboxes", "/sandboxes/")
        await take(page, "sandbox", f"/sandboxes/{ids['sql-notebook']}/?range=5m")
        await take(page, "commands", f"{otter}commands/")
        await take(page, "files", f"/disks/{ids['disk']}/files/")
        await take(page, "transfer", f"/transfer/?{both}")
        await take_terminal(page, otter)
        await browser.close()


async def take(page: Page, name: str, address: str) -> None:
    await page.goto(address)
    # Live parts come after the page.
    await page.wait_for_timeout(3_000)
    await page.screenshot(path=FOLDER / f"{name}.png")


async def take_terminal(page: Page, sandbox: str) -> None:
    await page.emulate_media(color_scheme="dark")
    await page.goto(sandbox)
    await page.get_by_role("link", name="Terminal").first.click()
    rows = page.locator(".xterm-rows")
    await expect(rows).to_contain_text("$", timeout=20_000)
    for line in TYPED:
        await page.keyboard.type(f"{line}\n")
        await page.wait_for_timeout(1_200)
    await page.screenshot(path=FOLDER / "terminal.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder)).start()
        try:
            asyncio.run(take_all(server))
        finally:
            server.end_sandboxes()
            server.stop()


if __name__ == "__main__":
    main()
