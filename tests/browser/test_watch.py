"""The watch over every page sees what it is there for."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.browser.steps import assert_accessible, eventually, sign_in
from tests.browser.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.docker]

INLINE_SCRIPT = """() => {
  const script = document.createElement("script");
  script.textContent = "window.ran = true";
  document.head.append(script);
}"""
FAULTS = {
    "policy violations": INLINE_SCRIPT,
    "console errors": "() => console.error('oh dear')",
    "script errors": "() => { setTimeout(() => { throw new Error('oh dear') }) }",
    "requests to other hosts": "() => { location.href = 'http://elsewhere.invalid/' }",
}
NAMELESS_BUTTON = "() => document.body.append(document.createElement('button'))"


def forget(watch: Watch) -> None:
    for lines in watch.found().values():
        lines.clear()
    watch.console_errors.clear()


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_is_seen(page: Page, watch: Watch, kind: str) -> None:
    await page.goto("/login/")
    await page.evaluate(FAULTS[kind])
    await eventually(lambda: kind in watch.found())
    forget(watch)


async def test_a_foreign_script_does_not_run(page: Page, watch: Watch) -> None:
    await page.goto("/login/")
    await page.evaluate(INLINE_SCRIPT)
    assert await page.evaluate("() => window.ran") is None
    await eventually(lambda: "policy violations" in watch.found())
    forget(watch)


async def test_an_expected_complaint_is_no_fault(page: Page, watch: Watch) -> None:
    watch.allow(r"404 .*/nothing/here$")
    await page.goto("/nothing/here")
    assert any("/nothing/here" in line for line in watch.console_errors)
    assert watch.found() == {}


async def test_axe_sees_a_button_without_a_name(page: Page) -> None:
    await page.goto("/login/")
    await assert_accessible(page)
    await page.evaluate(NAMELESS_BUTTON)
    with pytest.raises(AssertionError, match="button-name"):
        await assert_accessible(page)


async def test_signing_in_ends_on_the_first_page(page: Page, phone: Page) -> None:
    for somebody in (page, phone):
        await sign_in(somebody)
        await somebody.goto("/")
        assert await somebody.locator("main").count() == 1
