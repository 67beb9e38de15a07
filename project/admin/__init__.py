"""The admin panel: Django's own, in Sandbank's look, with actions that go through the product."""

from __future__ import annotations

from project.admin import accounts, records

__all__ = ["accounts", "records"]
