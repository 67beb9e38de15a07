"""The id of the request being served: on every answer and on every log line."""

from __future__ import annotations

import logging
import re
import secrets
from contextvars import ContextVar

# What is done outside of any request.
NONE = "-"

_current: ContextVar[str] = ContextVar("request_id", default=NONE)
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")


def begin(offered: str | None) -> str:
    """Take the id a proxy or client offered, if it is fit for a log line; make one otherwise."""
    request_id = offered if offered and _ACCEPTED.fullmatch(offered) else secrets.token_hex(8)
    _current.set(request_id)
    return request_id


def current() -> str:
    return _current.get()


class RequestIdFilter(logging.Filter):
    """Puts the request id on each log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current()
        return True
