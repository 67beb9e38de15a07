"""Who may do what in a project. The only place that knows what a role means."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.contrib.sessions.backends.base import SessionBase
from django.db.models import QuerySet

from project import sessions
from project.errors import Forbidden, NotFound
from project.models import Membership, Project, Role

# The tag of a refusal for which another role is wanted.
WRONG_ROLE = "role_forbidden"


class Right(StrEnum):
    """What can be done in a project, each with all that stands above it."""

    # Look at everything, touch nothing.
    LOOK = "look"
    # Make, use and end sandboxes; write and delete files.
    WORK = "work"
    # Members, keys, the project itself.
    MANAGE = "manage"


RIGHTS: dict[str, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.LOOK}),
    Role.MEMBER: frozenset({Right.LOOK, Right.WORK}),
    Role.OWNER: frozenset(Right),
}


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a project, with the role that counts."""

    user: User
    project: Project
    role: Role

    @property
    def name(self) -> str:
        return self.user.get_username()

    @property
    def may_work(self) -> bool:
        return self.may(Right.WORK)

    @property
    def may_manage(self) -> bool:
        return self.may(Right.MANAGE)

    def may(self, right: Right) -> bool:
        return right in RIGHTS[self.role]

    def require(self, right: Right) -> None:
        """Raise Forbidden unless this member has the right."""
        if not self.may(right):
            raise Forbidden(
                f"you are a {self.role} of {self.project.name}, and may not do this; "
                "ask an owner of the project for another role",
                tag=WRONG_ROLE,
            )


def projects_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Project]:
    """Return the projects a person is in; an administrator is in all."""
    if not user.is_authenticated or not isinstance(user, User) or not user.is_active:
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    return Project.objects.filter(memberships__user=user)


def member_of(user: User, project_id: uuid.UUID) -> Member:
    """Return a person as a member of a project. Reads the database.

    Raises NotFound for a project that is not there, and for one that is not theirs.
    """
    project = projects_of(user).filter(pk=project_id).first()
    if project is None:
        raise NotFound("there is no such page, or it is in a project you are not a member of")
    if user.is_superuser:
        return Member(user, project, Role.OWNER)
    role = Membership.objects.values_list("role", flat=True).get(project=project, user=user)
    return Member(user, project, Role(role))


def signed_in(user: object, session: SessionBase) -> User:
    """Return who holds an open connection, as they are now. Reads the database.

    Raises Forbidden for nobody, and for somebody whose session has ended meanwhile: signed out
    elsewhere, expired, or begun with a password that was changed.
    """
    known = sessions.user_of(session.session_key)
    if known is None or not isinstance(user, User) or known.pk != user.pk:
        raise Forbidden("you are signed out; sign in and come back")
    return known


def add_member(project: Project, user: User, role: Role) -> Membership:
    """Let a person into a project, or give them another role there. Writes."""
    membership, _ = Membership.objects.update_or_create(
        project=project, user=user, defaults={"role": role}
    )
    return membership


def may_make_projects(user: User) -> bool:
    """May a person make another project? Administrators and owners may. Reads the database."""
    return user.is_superuser or Membership.objects.filter(user=user, role=Role.OWNER).exists()
