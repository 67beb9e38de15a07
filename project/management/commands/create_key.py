"""Make an API key and print it, this once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from project.keys import create_key
from project.models import Project
from project.scopes import Scope

MOST_DAYS = 3650


class Command(BaseCommand):
    help = "Make an API key of a project (made too, if there is none of that name) and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", default="default", help="the project's name")
        parser.add_argument("--name", default="made on the command line", help="the key's name")
        parser.add_argument(
            "--may",
            action="append",
            choices=[scope.value for scope in Scope],
            help="what the key may do, once for each scope (default: all)",
        )
        parser.add_argument("--days", type=int, help="in how many days it expires (default: never)")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(name=options["project"]).first()
        if project is None:
            project = Project.objects.create(name=options["project"])
        days = options["days"]
        if days is not None and not 0 < days <= MOST_DAYS:
            raise CommandError(f"--days: 1 to {MOST_DAYS}")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        may = options["may"] or [Scope.ALL]
        _, token = create_key(project, options["name"], may=may, expires_at=expires_at)
        self.stdout.write(token)
