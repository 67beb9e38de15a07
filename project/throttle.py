"""Slows down who guesses passwords: attempts are counted, for a name and for an address.

The counts are rows, so that all server processes know of them. An attempt is counted before the
password is looked at, and taken back if it was right: a thousand at once are a thousand.
What a role does not allow is counted too, so that a flood of it leaves a few lines of activity.
"""

from __future__ import annotations

import ipaddress
import math
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from project.models import AttemptCount

# Of the refusals in a window so many leave a line of activity, the first.
NOTED = 5
SALT = "project.throttle"


@dataclass(frozen=True, slots=True)
class Limit:
    """So many attempts in a window; the next one waits for the window's end."""

    kind: str
    most: int
    seconds: int


# Anybody can guess at anybody's name. A longer wait, or one that grows, would let strangers keep
# a person out; a minute is a nuisance to the person, and leaves a guesser 7,200 tries a day.
NAME = Limit("name", 5, 60)
# The browsers that somebody signed in with before have a count of their own, the only one that
# holds them up: strangers who guess do not, be it from the same address.
KNOWN = Limit("known", 5, 60)
# Whoever uses an address shares its count, so it is larger: an office has one address. The wait
# is longer: who needs so many tries is no person who mistypes.
ADDRESS = Limit("address", 20, 600)
# So many refusals of a person in a project leave a line of activity.
ROLE = Limit("role", 20, 600)


class Counted:
    """Something that may happen so often in a while."""

    def __init__(self, limits: dict[str, Limit]) -> None:
        """Take the limits by the keys of their counts."""
        self._limits = limits
        self.is_noted = False

    def begin(self) -> int:
        """Count it; if there were too many, return how many seconds to wait instead.

        Writes, but for one that has to wait: a flood of them costs a read each.
        """
        now = timezone.now()
        rows = AttemptCount.objects.filter(whose__in=self._limits)
        if wait := self._wait(list(rows), now):
            return wait
        with transaction.atomic():
            new = [AttemptCount(whose=key, ends_at=now) for key in self._limits]
            AttemptCount.objects.bulk_create(new, ignore_conflicts=True)
            # In one order, so that no two attempts wait for each other.
            locked = list(rows.select_for_update().order_by("whose"))
            if wait := self._wait(locked, now):
                return wait
            self._count(locked, now)
        self.is_noted = all(row.count <= NOTED for row in locked)
        return 0

    def _wait(self, rows: list[AttemptCount], now: datetime) -> int:
        full = [row.ends_at for row in rows if row.count >= self._limits[row.whose].most]
        return max((math.ceil((end - now).total_seconds()) for end in full if end > now), default=0)

    def _count(self, rows: list[AttemptCount], now: datetime) -> None:
        for row in rows:
            if row.ends_at <= now:
                row.count = 0
                row.ends_at = now + timedelta(seconds=self._limits[row.whose].seconds)
            row.count += 1
            row.save(update_fields=("count", "ends_at"))


def is_one_of_the_first(project_id: uuid.UUID, user_id: int) -> bool:
    """Count a change that a person's role did not allow; few in a while are noted. Writes."""
    return not Counted({_key(ROLE, f"{project_id} {user_id}"): ROLE}).begin()


class Attempt(Counted):
    """One attempt to sign in. Names are the same whatever their letters' case, known or not."""

    def __init__(self, name: str, address: str | None, mark: str = "") -> None:
        """Take what was typed, where it came from, and the mark that its browser carries."""
        name = name.casefold()
        if constant_time_compare(mark, mark_of(name)):
            super().__init__({_key(KNOWN, name): KNOWN})
            return
        limits = {_key(NAME, name): NAME}
        if address is not None:
            limits[_key(ADDRESS, _network_of(address))] = ADDRESS
        super().__init__(limits)

    def succeed(self) -> None:
        """Take this attempt back, and forget those before it with this name. Writes."""
        with transaction.atomic():
            for key, limit in self._limits.items():
                rows = AttemptCount.objects.filter(whose=key, count__gt=0)
                # The others of its address stay: whoever has an account could guess on and on.
                rows.update(count=F("count") - 1 if limit is ADDRESS else 0)


def _key(limit: Limit, whose: str) -> str:
    """Name a count. What is typed for a name may be a password: it is not kept as it is."""
    return salted_hmac(SALT, f"{limit.kind} {whose}", algorithm="sha256").hexdigest()


def _network_of(address: str) -> str:
    """Return the address, or of IPv6 the network: somebody who has one has all of it."""
    known = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else address


def mark_of(name: str) -> str:
    """Return what a browser carries that a person has signed in with."""
    return salted_hmac(SALT, f"mark {name.casefold()}", algorithm="sha256").hexdigest()
