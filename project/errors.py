"""How an action says no. Each door gives a refusal its own form: JSON, a page, a close code.

* Refused                    status 500, never raised itself
  x Invalid                  400  the request cannot be understood
  x Unauthorized             401  no key, or not a good one
  x Forbidden                403  not yours
  x NotFound                 404  nothing there, or no longer
  x Conflict                 409  the present state forbids it
  x TooLarge                 413  over a limit
  x Unprocessable            422  understood, but cannot be done as asked
  x TooMany                  429  too many at once
  x Failed                   502  the other side broke off; the outcome is unknown
  x Unavailable              503  the engine or a store does not answer; try again
  x NoSpace                  507  nowhere to put it
"""

from __future__ import annotations


class Refused(Exception):
    """A refusal: a sentence for the caller, a status, and a tag for programs."""

    status = 500
    tag = "refused"

    def __init__(self, message: str, *, tag: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if tag is not None:
            self.tag = tag


class Invalid(Refused):
    status = 400
    tag = "invalid"


class Unauthorized(Refused):
    status = 401
    tag = "unauthorized"


class Forbidden(Refused):
    status = 403
    tag = "forbidden"


class NotFound(Refused):
    status = 404
    tag = "not_found"


class Conflict(Refused):
    status = 409
    tag = "conflict"


class TooLarge(Refused):
    status = 413
    tag = "too_large"


class Unprocessable(Refused):
    status = 422
    tag = "unprocessable"


class TooMany(Refused):
    status = 429
    tag = "too_many"


class Failed(Refused):
    status = 502
    tag = "failed"


class Unavailable(Refused):
    status = 503
    tag = "unavailable"


class NoSpace(Refused):
    status = 507
    tag = "no_space"
