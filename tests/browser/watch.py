"""What no page may do: break its policy, fail in a script, complain, or ask another host."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Request, WebError, WebSocket

REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  reportViolation(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


class Watch:
    """Collects what goes wrong in the pages of one or more contexts."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.violations: list[str] = []
        self.console_errors: list[str] = []
        self.script_errors: list[str] = []
        self.foreign_requests: list[str] = []
        self._allowed: list[re.Pattern[str]] = []

    def allow(self, pattern: str) -> None:
        """Expect console errors that match, as "404" for a page that the test knows is not there.

        Each reads as Chromium writes it, followed by the address of what it is about.
        """
        self._allowed.append(re.compile(pattern))

    async def over(self, context: BrowserContext) -> None:
        """Watch all pages of a context, from their first script on."""
        await context.expose_function("reportViolation", self._violate)
        await context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._hear)
        context.on("weberror", self._fail)
        context.on("request", self._request)
        context.on("page", lambda page: page.on("websocket", self._request))

    def found(self) -> dict[str, list[str]]:
        """Return what went wrong, by its kind; nothing if all is well."""
        console = [line for line in self.console_errors if not self._expected(line)]
        kinds = {
            "policy violations": self.violations,
            "console errors": console,
            "script errors": self.script_errors,
            "requests to other hosts": self.foreign_requests,
        }
        return {kind: lines for kind, lines in kinds.items() if lines}

    def _expected(self, line: str) -> bool:
        return any(pattern.search(line) for pattern in self._allowed)

    def _violate(self, line: str) -> None:
        self.violations.append(line)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            location: dict[str, Any] = dict(message.location)
            self.console_errors.append(f"{message.text} {location.get('url', '')}")

    def _fail(self, error: WebError) -> None:
        self.script_errors.append(str(error.error))

    def _request(self, request: Request | WebSocket) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.netloc != self.host:
            self.foreign_requests.append(request.url)
