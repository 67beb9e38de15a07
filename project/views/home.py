"""Home: what runs, what was used last, what happened."""

from __future__ import annotations

from django.http import HttpResponse

from project.pages import PageRequest, page, render


@page()
async def home(request: PageRequest) -> HttpResponse:
    return await render(request, "project/home.html")
