"""The red bar that says that the engine does not answer."""

from __future__ import annotations

from django.http import HttpResponse

from project.pages import PageRequest, page, render


@page()
async def banner(request: PageRequest) -> HttpResponse:
    """Draw the bar anew; nothing if the engine answers."""
    return await render(request, "parts/engine.html")
