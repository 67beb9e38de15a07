"""The way into the admin panel is the product's own, which slows down guessing."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse

from project.pages import error_page


async def sign_in(request: HttpRequest) -> HttpResponseBase:
    """Send strangers to sign in, and tell others that this is not for them."""
    user = await request.auser()
    if user.is_authenticated and user.is_staff:
        return HttpResponseRedirect(reverse("admin:index"))
    if user.is_authenticated:
        return await error_page(
            request, 403, "the admin panel is for the people who run this server"
        )
    return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
