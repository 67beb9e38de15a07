"""What one server process at a time may do, such as supervising: a lease in the database."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta

from django.db import IntegrityError
from django.db.models import Q
from django.utils import timezone

from project.models import Lease

# Who this process is, also after a fork or on another machine.
HOLDER = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def acquire(name: str, seconds: float) -> bool:
    """Take or keep a lease for so long; False if another process has it. Writes."""
    now = timezone.now()
    until = now + timedelta(seconds=seconds)
    mine_or_free = Q(holder=HOLDER) | Q(expires_at__lt=now)
    if Lease.objects.filter(mine_or_free, name=name).update(holder=HOLDER, expires_at=until):
        return True
    try:
        _, made = Lease.objects.get_or_create(
            name=name, defaults={"holder": HOLDER, "expires_at": until}
        )
    except IntegrityError:
        return False
    return made


def release(name: str) -> None:
    """Leave a lease to others. Writes."""
    Lease.objects.filter(name=name, holder=HOLDER).delete()
