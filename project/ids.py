"""Ids as people write them: whole, or the first letters of one."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

HEX = frozenset("0123456789abcdef")
DIGITS = 32


def is_id(text: str) -> bool:
    """Is it an id in the form that we write?"""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def name_or_id(text: str) -> Q:
    """Return the condition for rows with a text in their name, or whose id begins so."""
    fits = Q(name__icontains=text)
    ids = _beginning_with(text)
    return fits | Q(id__range=ids) if ids else fits


def _beginning_with(text: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last id that begin so."""
    digits = text.lower().replace("-", "")
    if not 0 < len(digits) <= DIGITS or set(digits) - HEX:
        return None
    return UUID(digits.ljust(DIGITS, "0")), UUID(digits.ljust(DIGITS, "f"))
