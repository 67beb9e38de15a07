"""A request with an Idempotency-Key is done once; a repeat gets the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from project import database
from project.envelope import CONTENT_TYPE
from project.errors import Conflict, Unprocessable
from project.models import IdempotentRequest, Project

KEPT = timedelta(hours=24)
# A request that has not been answered for so long never will: its server is gone.
ABANDONED = timedelta(seconds=90)


async def once(
    project: Project,
    route: str,
    key: str,
    request: str,
    make: Callable[[], Awaitable[HttpResponse]],
) -> HttpResponse:
    """Answer with what `make` makes, or with what it made for the same key before.

    Raises Unprocessable if the key came with another request, and Conflict while the first one
    is still being answered. A request that fails may be tried again with its key.
    """
    digest = hashlib.sha256(request.encode()).hexdigest()
    record = await database.write(_claim, project, route, key, digest)
    if record.status is not None:
        replayed = HttpResponse(
            json.dumps(record.answer), status=record.status, content_type=CONTENT_TYPE
        )
        replayed["Idempotent-Replayed"] = "true"
        return replayed
    try:
        response = await make()
    except BaseException:
        await database.write(record.delete)
        raise
    record.status, record.answer = response.status_code, json.loads(response.content)
    await database.write(record.save)
    return response


def _claim(project: Project, route: str, key: str, digest: str) -> IdempotentRequest:
    now = timezone.now()
    with transaction.atomic():
        # One too old to count may still be there: project/retention.py takes its time.
        same = IdempotentRequest.objects.filter(project=project, route=route, key=key)
        same.filter(created_at__lt=now - KEPT).delete()
        record, is_new = same.select_for_update().get_or_create(
            project=project, route=route, key=key, defaults={"request_digest": digest}
        )
        if is_new:
            return record
        if record.request_digest != digest:
            raise Unprocessable("this Idempotency-Key came with another request before")
        if record.status is None:
            if now - record.created_at < ABANDONED:
                raise Conflict("a request with this Idempotency-Key is being answered now")
            record.created_at = now
            record.save(update_fields=["created_at"])
        return record
