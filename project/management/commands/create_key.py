"""Make an API key and print it, this once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from project.keys import create_key
from project.models import Project


class Command(BaseCommand):
    help = "Make an API key of a project (made too, if there is none of that name) and print it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", default="default", help="the project's name")
        parser.add_argument("--name", default="made on the command line", help="the key's name")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(name=options["project"]).first()
        if project is None:
            project = Project.objects.create(name=options["project"])
        _, token = create_key(project, options["name"])
        self.stdout.write(token)
