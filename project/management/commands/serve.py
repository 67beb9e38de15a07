"""Make ready what is missing, then serve until told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import environ
import uvloop
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError

from project import database
from project.first_start import Credentials, add_key, make_first
from project.preparation import prepare_database, prepare_image, prepare_static_files
from project.server import Server, address_of, bind
from sandboxes.engine.base import EngineError, EngineUnavailable

env = environ.FileAwareEnv()
logger = logging.getLogger(__name__)

# How long to wait before the engine is asked again whether it is there.
ENGINE_RETRY_SECONDS = 5


class Command(BaseCommand):
    help = "Make ready what is missing (image, tables, first user and key), then serve."
    # Those that keep a server from starting; `make check` has all of them.
    requires_system_checks = (Tags.security,)

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = env.str("HOST", default="127.0.0.1"), env.int("PORT", default=8029)
        try:
            listener = bind(host, port)
        except OSError as error:
            reason = f"Cannot listen on {host}:{port} ({error.strerror}). Set HOST and PORT."
            raise CommandError(reason) from error
        try:
            with listener:
                asyncio.run(self.serve(listener), loop_factory=uvloop.new_event_loop)
        except KeyboardInterrupt:
            self.report("Stopped. Sandboxes go on.")

    async def serve(self, listener: socket.socket) -> None:
        self.waiting = await self.prepare_engine()
        await database.write(self.prepare_data, address_of(listener))
        # Late: it loads every page and endpoint.
        from project.asgi import application

        def announce() -> None:
            self.report(f"Sandbank is at {address_of(listener)} (Ctrl-C stops it).")

        await Server(application, announce).serve([listener])

    async def prepare_engine(self) -> asyncio.Task[None] | None:
        """Have the image there; if the engine is away, serve without and wait for it."""
        try:
            await prepare_image(self.report)
        except EngineUnavailable as error:
            self.report(f"{error} Serving without sandboxes until it does.")
            return asyncio.create_task(self.wait_for_engine())
        except EngineError as error:
            raise CommandError(str(error)) from error
        return None

    async def wait_for_engine(self) -> None:
        while True:
            await asyncio.sleep(ENGINE_RETRY_SECONDS)
            try:
                await prepare_image(logger.info)
            except EngineUnavailable:
                continue
            except EngineError:
                logger.exception("the engine is there, and the sandbox image is not")
            return

    def prepare_data(self, address: str) -> None:
        token = env.str("SANDBANK_API_KEY", default="")
        prepare_database(self.report)
        prepare_static_files(self.report)
        try:
            made = make_first(env.str("SANDBANK_ADMIN_PASSWORD", default=""), token)
            if made:
                self.show(made, address)
            elif token and add_key(token):
                self.report("SANDBANK_API_KEY is new: it opens the first project from now on.")
        except ValueError as error:
            raise CommandError(f"SANDBANK_API_KEY: {error}") from error

    def show(self, made: Credentials, address: str) -> None:
        self.report(
            "\nThis is the first start. Keep these, they are not shown again:\n"
            f"  admin panel  {address}/admin/\n"
            f"  user         {made.username}\n"
            f"  password     {made.password}\n"
            f"  API          {address}/api/v1\n"
            f"  API key      {made.token}\n"
        )

    def report(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
