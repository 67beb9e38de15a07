"""Who is in a project, and the projects themselves: made, named, deleted.

A project always has an owner. Whoever asks here has been found to be allowed to.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from project import keys, policy
from project.errors import Conflict, Forbidden, Invalid, NotFound
from project.models import Membership, Project, Role
from project.policy import Member

LONGEST_NAME = 200
LONGEST_USER_NAME = 150


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that was made up for somebody, and what is kept of it."""

    text: str
    kept: str


@dataclass(frozen=True, slots=True)
class Added:
    """Somebody who came into a project; with a password if the account was made for it."""

    membership: Membership
    password: str = ""


# --- Members --------------------------------------------------------------------------------


def members_of(project: Project) -> QuerySet[Membership]:
    """Return the people of a project, owners first."""
    return project.memberships.select_related("user").order_by("-role", "user__username")


def role_named(text: str) -> Role:
    """Return a role by its name. Raises Invalid."""
    try:
        return Role(text)
    except ValueError:
        raise Invalid(f"the role must be one of {', '.join(Role.values)}") from None


def make_up_password() -> NewPassword:
    """Make up a password. It takes long, on purpose: not where others wait to write."""
    text = secrets.token_urlsafe(12)
    return NewPassword(text, make_password(text))


def add(
    project: Project, user_name: str, role: Role, *, password: NewPassword | None = None
) -> Added:
    """Let somebody into a project; with a password their account is made if need be. Writes.

    Raises Invalid for a name nobody has, or that cannot be one, and Conflict for a member and for
    a name that more than one may be meant by.
    """
    user_name = user_name.strip()
    with transaction.atomic():
        user = _account_named(user_name)
        if user is None:
            return _add_new(project, user_name, role, password)
        if project.memberships.filter(user=user).exists():
            raise Conflict(
                f"the project {project} has {user.username} already", tag="member_already"
            )
        return Added(policy.add_member(project, user, role))


def _account_named(name: str) -> User | None:
    """Return who has just this name, else the one who has it in other letters. Raises Conflict."""
    exact = User.objects.filter(username=name).first()
    if exact is not None:
        return exact
    alike = list(User.objects.filter(username__iexact=name).order_by("username")[:2])
    if len(alike) > 1:
        raise Conflict(
            f"{alike[0].username} and {alike[1].username} are two accounts; "
            "write capital and small letters as the name has them",
            tag="ambiguous_name",
        )
    return alike[0] if alike else None


def _add_new(project: Project, user_name: str, role: Role, password: NewPassword | None) -> Added:
    _check_user_name(user_name)
    if password is None:
        raise Invalid(
            f"there is no account {user_name}; tick “Make the account” to make it",
            tag="no_account",
        )
    name = User.normalize_username(user_name)
    user = User.objects.create(username=name, password=password.kept)
    return Added(policy.add_member(project, user, role), password.text)


def _check_user_name(name: str) -> None:
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError as error:
        raise Invalid(
            "a user name has letters, digits and @ . + - _ only", tag="bad_user_name"
        ) from error
    if len(name) > LONGEST_USER_NAME:
        raise Invalid(f"a user name has {LONGEST_USER_NAME} characters at most")


def change_role(project: Project, membership_id: int, role: Role) -> Membership:
    """Give a member another role. Writes. Raises NotFound, and Conflict for the last owner."""
    with transaction.atomic():
        membership = _locked(project, membership_id)
        if role != Role.OWNER:
            _require_other_owner(membership)
        membership.role = role
        membership.save(update_fields=["role"])
    return membership


def remove(project: Project, membership_id: int) -> Membership:
    """Put somebody out of a project. Writes. Raises NotFound, and Conflict for the last owner."""
    with transaction.atomic():
        membership = _locked(project, membership_id)
        _require_other_owner(membership)
        Membership.objects.filter(pk=membership.pk).delete()
    return membership


def leave(project: Project, user: User) -> Membership:
    """Let somebody go. Writes. Raises NotFound for one who is no member, and Conflict."""
    membership = project.memberships.filter(user=user).first()
    if membership is None:
        raise NotFound("you are no member of this project, only its administrator")
    return remove(project, membership.pk)


def _locked(project: Project, membership_id: int) -> Membership:
    # The lock on the project lets two owners not remove each other at the same time.
    Project.objects.select_for_update().get(pk=project.pk)
    membership = members_of(project).filter(pk=membership_id).first()
    if membership is None:
        raise NotFound("there is no such member")
    return membership


def _require_other_owner(membership: Membership) -> None:
    if left_alone([membership.pk]):
        raise Conflict(
            f"the last owner is {membership.user.username}; make somebody else an owner first",
            tag="last_owner",
        )


def left_alone(ids: Collection[int], owned: Collection[uuid.UUID] = ()) -> list[Project]:
    """Return the projects that would lose their last owner with some memberships. Reads.

    Those `owned` get one at the same time.
    """
    owners = Membership.objects.filter(role=Role.OWNER)
    losing = owners.filter(pk__in=ids).exclude(project__in=owned).values("project")
    kept = owners.exclude(pk__in=ids).values("project")
    return list(Project.objects.filter(pk__in=losing).exclude(pk__in=kept))


# --- Projects -------------------------------------------------------------------------------


def create_project(user: User, name: str) -> Project:
    """Make a project with its maker as its owner. Writes. Raises Invalid, and Forbidden."""
    if not policy.may_make_projects(user):
        raise Forbidden(
            "only owners and administrators make projects; ask one of them", tag="role_forbidden"
        )
    with transaction.atomic():
        project = Project.objects.create(name=_project_name(name))
        policy.add_member(project, user, Role.OWNER)
    return project


def rename_project(project: Project, name: str) -> str:
    """Give a project another name and return it. Writes. Raises Invalid."""
    wanted = _project_name(name)
    Project.objects.filter(pk=project.pk).update(name=wanted)
    # A remembered key holds its project as it was.
    keys.forget()
    return wanted


def _project_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or "\x00" in name:
        raise Invalid("give the project a name", tag="no_name")
    if len(name) > LONGEST_NAME:
        raise Invalid(f"a project's name has {LONGEST_NAME} characters at most")
    return name


def delete_project(member: Member) -> None:
    """Delete a project that holds nothing. Writes. Raises Conflict."""
    project = member.project
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        problem = why_kept(project)
        if not problem and not policy.projects_of(member.user).exclude(pk=project.pk).exists():
            problem = "it is your only project; make another one first"
        if problem:
            raise Conflict(f"the project {project} is kept: {problem}", tag="project_not_empty")
        project.delete()
    keys.forget()


def why_kept(project: Project) -> str:
    """Say what a project still holds, or return "". Reads the database."""
    disks = project.disks.count()
    if disks:
        return f"it has {disks} disk{'' if disks == 1 else 's'}; delete what is on them first"
    if project.sandboxes.exclude(status__in=("killed", "error")).exists():
        return "it has sandboxes that run; end them first"
    return ""
