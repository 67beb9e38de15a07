"""Sign in and out. Guessing passwords is slowed down, for an address and for a name."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from project import activity, signing_out, throttle
from project.accounts import begin_session
from project.throttle import Attempt

# The cookie that marks a browser somebody has signed in with.
MARK = "known"
MARK_SECONDS = 365 * 24 * 3600
STAY_SECONDS = 14 * 24 * 3600


class SignInForm(AuthenticationForm):
    """Django's, that says how long to wait after too many failures."""

    error_messages = {
        "invalid_login": "User name and password do not match.",
        "inactive": "This account is switched off. Ask whoever runs this server.",
    }

    attempt: Attempt | None = None

    def clean(self) -> dict[str, object]:
        name = self.cleaned_data.get("username")
        if not name or not self.cleaned_data.get("password"):
            # There is nothing to try.
            return super().clean()
        self.attempt = Attempt(name, *self._origin())
        if wait := self.attempt.begin():
            raise ValidationError(f"Too many attempts. Try again in {wait} s.")
        cleaned = super().clean()
        self.attempt.succeed()
        return cleaned

    def _origin(self) -> tuple[str | None, str]:
        """Return the address and the mark of the browser that somebody tries with."""
        if self.request is None:
            return None, ""
        return activity.address_of(self.request), self.request.COOKIES.get(MARK, "")


def first_page(user: User) -> str:
    """Return where somebody goes who signs in for the first time, if nowhere else."""
    return reverse("welcome") if user.is_superuser else f"{reverse('profile')}?first=1"


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
            _mark(response, user)
            if is_first and response.headers["Location"] == reverse("home"):
                response.headers["Location"] = first_page(user)
        return response

    def _is_first(self, form: Form) -> bool:
        """Has this person never signed in before?"""
        user = form.get_user()  # type: ignore[attr-defined]
        return user.last_login is None

    def form_invalid(self, form: Form) -> HttpResponse:
        attempt: Attempt | None = form.attempt  # type: ignore[attr-defined]
        if attempt is not None and attempt.is_noted:
            self._note(form.cleaned_data["username"], activity.Outcome.REFUSED)
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


def _mark(response: HttpResponse, user: User) -> None:
    response.set_cookie(
        MARK,
        throttle.mark_of(user.get_username()),
        max_age=MARK_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=settings.BEHIND_TLS,
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
