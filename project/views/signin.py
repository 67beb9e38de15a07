"""Sign in and out. Guessing passwords is slowed down, for an address and for a name."""

from __future__ import annotations

import math
import time

from asgiref.sync import async_to_sync
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from project import activity, signing_out
from project.accounts import begin_session

# So many failures of one address or of one name, then a wait.
FAILURES = 5
WAIT_SECONDS = 60
STAY_SECONDS = 14 * 24 * 3600


class SignInForm(AuthenticationForm):
    """Django's, that says how long to wait after too many failures."""

    error_messages = {
        "invalid_login": "User name and password do not match.",
        "inactive": "This account is switched off. Ask whoever runs this server.",
    }

    def clean(self) -> dict[str, object]:
        keys = self._keys()
        wait = max(cache.get(key, (0, 0.0))[1] for key in keys) - time.time()
        if wait > 0:
            raise ValidationError(f"Too many attempts. Try again in {math.ceil(wait)} s.")
        try:
            cleaned = super().clean()
        except ValidationError:
            for key in keys:
                _count_failure(key)
            raise
        cache.delete_many(keys)
        return cleaned

    def _keys(self) -> list[str]:
        address = activity.address_of(self.request) if self.request else ""
        # An administrator behind the same address must not be kept out by a guesser of names.
        return [f"signin:{address}:{str(self.data.get('username', '')).lower()[:150]}"]


def first_page(user: User) -> str:
    """Return where somebody goes who signs in for the first time, if nowhere else."""
    return reverse("welcome") if user.is_superuser else f"{reverse('profile')}?first=1"


def _count_failure(key: str) -> None:
    failures = cache.get(key, (0, 0.0))[0] + 1
    until = time.time() + WAIT_SECONDS if failures >= FAILURES else 0.0
    cache.set(key, (0 if until else failures, until), 10 * WAIT_SECONDS)


class SignIn(LoginView):
    template_name = "project/signin.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Form) -> HttpResponse:
        is_first = self._is_first(form)
        response = super().form_valid(form)  # type: ignore[arg-type]
        begin_session(self.request)
        # Without it the session ends with the browser.
        self.request.session.set_expiry(STAY_SECONDS if self.request.POST.get("stay") else 0)
        user = self.request.user
        if isinstance(user, User):
            self._note(user.get_username(), activity.Outcome.DONE)
            if is_first and response.headers["Location"] == reverse("home"):
                return HttpResponseRedirect(first_page(user))
        return response

    def _is_first(self, form: Form) -> bool:
        """Has this person never signed in before?"""
        user = form.get_user()  # type: ignore[attr-defined]
        return user.last_login is None

    def form_invalid(self, form: Form) -> HttpResponse:
        self._note(str(form.data.get("username", ""))[:150], activity.Outcome.REFUSED)
        response = super().form_invalid(form)  # type: ignore[arg-type]
        response.status_code = 422
        return response

    def _note(self, name: str, outcome: str) -> None:
        activity.record(
            None,
            "account.sign_in",
            actor=name,
            address=activity.address_of(self.request),
            outcome=outcome,
        )


class SignOut(LogoutView):
    """Django's, that leaves a line of activity."""

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        name, user_id = request.user.get_username(), request.user.pk
        if name:
            address = activity.address_of(request)
            activity.record(None, "account.sign_out", actor=name, address=address)
        response = super().post(request, *args, **kwargs)
        if user_id is not None:
            async_to_sync(signing_out.look_again)(user_id)
        return response
