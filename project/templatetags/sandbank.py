"""Tags and filters of all templates: icons, states, and quantities in words."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from django import template
from django.template.defaulttags import CsrfTokenNode
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from project import words
from project.pages import SHOWN_FIELD

register = template.Library()


@register.simple_tag
def icon(name: str, css_class: str = "i") -> SafeString:
    """Draw an icon of the sprite; it says nothing to a screen reader."""
    return _drawn(name, css_class)


@lru_cache(maxsize=500)
def _drawn(name: str, css_class: str) -> SafeString:
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        css_class,
        static("icons.svg"),
        name if name == "mark" or name.startswith("s-") else f"i-{name}",
    )


@register.simple_tag(takes_context=True)
def csrf_token(context: template.Context) -> SafeString | str:
    """Write what every form sends: Django's token, and the project that its page shows.

    It stands in for Django's tag of the same name, so that no form can forget the project.
    """
    token = CsrfTokenNode().render(context)
    member = getattr(getattr(context, "request", None), "member", None)
    if member is None:
        return token
    return format_html(
        '{}<input type="hidden" name="{}" value="{}">', token, SHOWN_FIELD, member.project.pk
    )


@register.filter
def size(count: float | None) -> str:
    """Write a number of bytes, such as `4.8 KB`."""
    return "–" if count is None else words.size(count)


@register.filter
def seconds(count: float | None) -> str:
    """Write a time span, such as `4 m 12 s`."""
    return "–" if count is None else words.duration(count)


@register.filter
def span(count: int | None) -> str:
    """Write a time span that somebody chose, such as `8 hours`."""
    return "no limit" if count is None else words.span(count)


@register.filter
def milliseconds(count: float | None) -> str:
    """Write how long a command took, such as `112 ms` or `4.21 s`."""
    return "–" if count is None else words.duration(count / 1000)


@register.filter
def ago(moment: datetime | None) -> str:
    """Write how long ago something was, such as `6 min`."""
    return "–" if moment is None else words.ago((timezone.now() - moment).total_seconds())


@register.filter
def left(moment: datetime | None) -> str:
    """Write how long there is until a moment."""
    if moment is None:
        return "No limit"
    return words.duration(max(0.0, (moment - timezone.now()).total_seconds()))


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """Write a moment for people and for programs; scripts show it in the reader's own time."""
    if moment is None:
        return "–"
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(),
        moment.strftime("%d %b %Y, %H:%M:%S"),
        ago(moment),
    )


@register.simple_tag
def who(name: str) -> SafeString | str:
    """Name who did something. An API key is told from a person by its icon."""
    if not name.startswith(words.API_KEY):
        return name or "–"
    return format_html(
        '<span class="who">{}<span class="visually-hidden">API key </span>'
        '<span class="clip">{}</span></span>',
        icon("key"),
        name.removeprefix(words.API_KEY),
    )


@register.filter
def person(name: str) -> str:
    """Name somebody without an icon, such as `API key nightly`."""
    return words.person(name)


# How the admin panel groups its records: what operators use first, each with its icon. What is
# not here is under More.
RECORDS: dict[str, dict[str, str]] = {
    "In use": {
        "Sandbox": "box",
        "Terminal": "terminal",
        "Command": "history",
        "Disk": "disk",
        "Transfer": "swap",
        "Activity": "activity",
    },
    "People and keys": {
        "Project": "folder",
        "User": "user",
        "Membership": "link",
        "ApiKey": "key",
        "EndUser": "globe",
        "Group": "lock",
    },
}


@register.filter
def by_use(app_list: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Group the records of the admin panel by who needs them."""
    known = {model["object_name"]: model for app in app_list for model in app["models"]}
    groups = [
        (
            title,
            [{**known.pop(name), "icon": drawn} for name, drawn in names.items() if name in known],
        )
        for title, names in RECORDS.items()
    ]
    groups.append(("More", [{**model, "icon": "table"} for model in known.values()]))
    return [(title, records) for title, records in groups if records]


@register.filter
def seen(name: object) -> str:
    """Write a name that anybody may have chosen, so that it deceives nobody."""
    return words.seen(str(name))


@register.filter
def short(identifier: object) -> str:
    """Write the first part of an id, which tells it from its neighbours."""
    return str(identifier)[:8]


@register.filter
def percent(part: float, whole: float) -> int:
    return round(100 * part / whole) if whole else 0
