"""Which project the pages show."""

from __future__ import annotations

import uuid

from django.http import HttpResponse

from project.pages import PageRequest, done, enter, page


@page()
async def switch(request: PageRequest, project_id: uuid.UUID) -> HttpResponse:
    """Show another project from now on."""
    await enter(request, project_id)
    return await done(request, f"You are in {request.member.project}.", "/")
