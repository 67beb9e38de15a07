"""The tenant and what belongs to it: projects, their members, API keys and end users."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone


class Project(models.Model):
    """The tenant: owns API keys, sandboxes and disks."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    configs = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("created_at", "id")

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do; project/policy.py says what that is."""

    OWNER = "owner"
    MEMBER = "member"
    VIEWER = "viewer"


class Membership(models.Model):
    """A person in a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("created_at", "id")
        constraints = (models.UniqueConstraint(fields=("project", "user"), name="one_membership"),)

    def __str__(self) -> str:
        return f"{self.user}: {self.role} of {self.project}"


def everything() -> list[str]:
    """Return the scopes of a key that may do all."""
    return ["all"]


class ApiKey(models.Model):
    """A key of a project. Only a keyed hash of it is kept."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    # What it may do; project/scopes.py has the list.
    scopes = models.JSONField(default=everything, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("created_at", "id")
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class EndUser(models.Model):
    """Somebody in the caller's own product, known to us by the caller's identifier."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="end_users")
    identifier = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("created_at", "id")
        constraints = (
            models.UniqueConstraint(fields=("project", "identifier"), name="one_end_user"),
        )

    def __str__(self) -> str:
        return self.identifier


class Session(AbstractBaseSession):
    """Django's session, with its user in a column: one's own are found among all at once."""

    # None: of nobody yet, such as that of a page for strangers.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="sessions"
    )

    def __str__(self) -> str:
        # The key of a session is as good as a password, and Django's own name for it.
        return f"a session of {self.user or 'nobody'}"

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        # That module stands on this one.
        from project.sessions import SessionStore

        return SessionStore


class AttemptCount(models.Model):
    """How often somebody tried to sign in of late; project/throttle.py says whose attempts."""

    # A keyed hash.
    whose = models.CharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField(default=0)
    # Then the count begins anew.
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.count} attempts"


class Activity(models.Model):
    """One thing somebody did, or was refused. Written once, never changed."""

    class Door(models.TextChoices):
        BROWSER = "browser"
        API = "api"
        ADMIN = "admin", "admin panel"
        # What nobody asked for, such as an end by expiry.
        SANDBANK = "sandbank", "Sandbank"

    class Outcome(models.TextChoices):
        DONE = "done"
        REFUSED = "refused"
        FAILED = "failed"

    # None: of the whole installation, such as a sign-in.
    project = models.ForeignKey(
        Project, null=True, on_delete=models.CASCADE, related_name="activities"
    )
    at = models.DateTimeField(default=timezone.now, editable=False)
    # A user's name, or that of an API key.
    actor = models.CharField(max_length=200)
    door = models.CharField(max_length=10, choices=Door)
    # Such as `sandbox.create`.
    verb = models.CharField(max_length=50)
    object_id = models.CharField(max_length=200, blank=True)
    object_name = models.CharField(max_length=300, blank=True)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.DONE)
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ("-at", "-id")
        verbose_name_plural = "activity"
        indexes = (
            models.Index(fields=("project", "-at", "-id"), name="activity_page"),
            models.Index(fields=("object_id", "-at"), name="activity_of_object"),
            models.Index(fields=("at",), name="activity_by_age"),
        )

    def __str__(self) -> str:
        return f"{self.actor}: {self.verb} {self.object_name}"


class IdempotentRequest(models.Model):
    """A request that carried an Idempotency-Key, and the answer it was given."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    route = models.CharField(max_length=100)
    key = models.CharField(max_length=128)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("project", "route", "key"), name="one_request"),
        )
        indexes = (models.Index(fields=("created_at",), name="request_age"),)

    def __str__(self) -> str:
        return f"{self.route} {self.key}"


class Memo(models.Model):
    """Something small that the servers keep for themselves, such as how far an upkeep came."""

    name = models.CharField(max_length=50, primary_key=True)
    value = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """What one server process at a time may do, such as supervising."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=100)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"
