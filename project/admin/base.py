"""What the admin pages of all apps share: rows that are only shown, and actions that ask and tell."""

from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from project import activity
from project.errors import Refused
from project.pages import sentence
from sandboxes.engine.base import EngineError

# How many objects an action works on at once, and how many it speaks of one by one.
PARALLEL = 8
MOST_TOLD = 10

type Action = Callable[[Any, HttpRequest, QuerySet[Any]], Any]


def run[**P, T](work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do async work from a view of the admin, which has a thread of its own.

    asgiref does it on the server's event loop, where the engine and the links to guests live.
    Never inside a transaction: the work's own writes would wait for its end.
    """
    return async_to_sync(work)(*args, **kwargs)


class Recorded(admin.ModelAdmin):
    """Writes what is changed here to the activity as well as to Django's own log."""

    # What the activity calls a row, if not by its model's name.
    noun = ""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list under its own name; Django's asks to select something."""
        plural = str(self.opts.verbose_name_plural)
        title = {"title": plural[:1].upper() + plural[1:]}
        return super().changelist_view(request, {**title, **(extra_context or {})})

    def project_of(self, row: Any) -> uuid.UUID | None:
        """Return the project that a row belongs to, if any."""
        return getattr(row, "project_id", None)

    def record(self, request: HttpRequest, verb: str, row: Any, problem: str = "") -> None:
        activity.record(
            self.project_of(row),
            verb,
            actor=request.user.get_username(),
            door=activity.Door.ADMIN,
            object_id=row.pk,
            object_name=str(row),
            address=activity.address_of(request),
            outcome=activity.Outcome.REFUSED if problem else activity.Outcome.DONE,
            detail=problem,
        )

    def note(self, request: HttpRequest, verb: str, detail: str) -> None:
        """Record what is about no single row."""
        activity.record(
            None,
            verb,
            actor=request.user.get_username(),
            door=activity.Door.ADMIN,
            address=activity.address_of(request),
            detail=detail,
        )

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self.record(request, f"{self.noun or self.opts.model_name}.create", obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self.record(request, f"{self.noun or self.opts.model_name}.change", obj)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for row in queryset:
            self.record(request, f"{self.noun or self.opts.model_name}.delete", row)
        return super().log_deletions(request, queryset)

    def act(
        self,
        request: HttpRequest,
        rows: QuerySet[Any],
        verb: str,
        work: Callable[[Any], Awaitable[object]],
        did: str,
    ) -> None:
        """Do something with each row; record it, and say of each how it went."""
        went_well = []
        refusals = []
        for row, problem in run(_each, list(rows), work):
            self.record(request, verb, row, problem)
            if problem:
                # Django writes the first letter of a message large, and names are not to change.
                refusals.append(f"“{row}”: {sentence(problem)}")
            else:
                went_well.append(str(row))
        if went_well:
            messages.success(request, f"{did}: {_some(went_well)}.")
        for refusal in refusals[:MOST_TOLD]:
            messages.error(request, refusal)
        if len(refusals) > MOST_TOLD:
            messages.error(request, f"{len(refusals) - MOST_TOLD} more were refused.")


class ReadOnly(Recorded):
    """Rows that only the product itself may write."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, *args: object) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


async def _each(
    rows: Sequence[Any], work: Callable[[Any], Awaitable[object]]
) -> list[tuple[Any, str]]:
    """Do work for each row, a few at a time. Return each with its problem, or ""."""
    places = asyncio.Semaphore(PARALLEL)

    async def do(row: Any) -> tuple[Any, str]:
        async with places:
            try:
                await work(row)
            except (Refused, EngineError) as error:
                return row, str(error)
            return row, ""

    return list(await asyncio.gather(*(do(row) for row in rows)))


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_TOLD
    return ", ".join(names[:MOST_TOLD]) + (f" and {more} more" if more > 0 else "")


def count_of(rows: QuerySet[Any], by: str, count: Any = None) -> Coalesce:
    """Count the rows of another table that point to each row of a list, within one query."""
    counted = rows.order_by().filter(**{by: OuterRef("pk")}).values(by)
    counted = counted.annotate(number=Count("pk") if count is None else count)
    return Coalesce(Subquery(counted.values("number")), 0)


def asks(
    question: str,
    loss: str,
    button: str,
    only: Callable[[QuerySet[Any]], QuerySet[Any]] | None = None,
) -> Callable[[Action], Action]:
    """Make an action ask first, on a page that names what will be lost.

    `only` picks those that the action still concerns, where others may have ended.
    """

    def decorate(action: Action) -> Action:
        @functools.wraps(action)
        def asked(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
            everything = request.POST.get("select_across") == "1"
            concerned = only(queryset) if only else queryset
            if request.POST.get("confirmed") == "yes":
                return action(self, request, concerned if everything else queryset)
            count = concerned.count()
            if not count:
                messages.warning(request, "What you selected has ended already.")
                return None
            context = {
                **self.admin_site.each_context(request),
                "title": question,
                "subtitle": None,
                "opts": self.opts,
                "loss": loss,
                "button": button,
                "action": action.__name__,
                "rows": concerned[:100],
                "count": count,
                "ended": queryset.count() - count,
                # Of all pages of the list there may be more than a form can carry.
                "select_across": everything,
                "action_checkbox_name": ACTION_CHECKBOX_NAME,
                "media": self.media,
            }
            return TemplateResponse(request, "admin/confirm_action.html", context)

        return asked

    return decorate


def link(url: str, text: object) -> SafeString:
    return format_html('<a href="{}">{}</a>', url, text)


def text_block(text: str) -> SafeString | str:
    """Show text as it was written."""
    return format_html("<pre>{}</pre>", text) if text else "–"
