"""The pages of sandboxes."""

from __future__ import annotations

from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from sandboxes.views import bulk, commands, detail, listing, new, settings, terminals, usage

app_name = "sandboxes"

urlpatterns: list[URLPattern] = [
    path("sandboxes/", listing.sandboxes, name="list"),
    path("sandboxes/new/", new.new, name="new"),
    path("sandboxes/bulk/", require_POST(bulk.bulk), name="bulk"),
    path("sandboxes/<uuid:sandbox_id>/", detail.detail, name="detail"),
    path("sandboxes/<uuid:sandbox_id>/head/", detail.head, name="head"),
    path("sandboxes/<uuid:sandbox_id>/stop/", require_POST(detail.stop), name="stop"),
    path("sandboxes/<uuid:sandbox_id>/pause/", require_POST(detail.pause), name="pause"),
    path("sandboxes/<uuid:sandbox_id>/resume/", require_POST(detail.resume), name="resume"),
    path("sandboxes/<uuid:sandbox_id>/extend/", require_POST(detail.extend), name="extend"),
    path("sandboxes/<uuid:sandbox_id>/usage.json", usage.usage, name="usage"),
    path("sandboxes/<uuid:sandbox_id>/processes/", usage.processes, name="processes"),
    path(
        "sandboxes/<uuid:sandbox_id>/environment/",
        require_POST(usage.environment),
        name="environment",
    ),
    path("sandboxes/<uuid:sandbox_id>/settings/", settings.settings, name="settings"),
    path("sandboxes/<uuid:sandbox_id>/commands/", commands.listing, name="commands"),
    path("sandboxes/<uuid:sandbox_id>/commands/run/", require_POST(commands.run), name="run"),
    path(
        "sandboxes/<uuid:sandbox_id>/commands/<uuid:command_id>/again/",
        require_POST(commands.again),
        name="run_again",
    ),
    path(
        "sandboxes/<uuid:sandbox_id>/commands/<uuid:command_id>/kill/",
        require_POST(commands.kill),
        name="kill_command",
    ),
    path(
        "sandboxes/<uuid:sandbox_id>/commands/<uuid:command_id>/output.txt",
        commands.output,
        name="output",
    ),
    path("sandboxes/<uuid:sandbox_id>/terminal/", terminals.index, name="terminals"),
    path(
        "sandboxes/<uuid:sandbox_id>/terminals/open/",
        require_POST(terminals.open_),
        name="open_terminal",
    ),
    path(
        "sandboxes/<uuid:sandbox_id>/terminals/<uuid:terminal_id>/",
        terminals.show,
        name="terminal",
    ),
    path(
        "sandboxes/<uuid:sandbox_id>/terminals/<uuid:terminal_id>/close/",
        require_POST(terminals.close),
        name="close_terminal",
    ),
    path(
        "sandboxes/<uuid:sandbox_id>/terminals/<uuid:terminal_id>/rename/",
        require_POST(terminals.rename),
        name="rename_terminal",
    ),
    path(
        "sandboxes/<uuid:sandbox_id>/terminals/<uuid:terminal_id>/recording/",
        terminals.player,
        name="recording",
    ),
    path(
        "sandboxes/<uuid:sandbox_id>/terminals/<uuid:terminal_id>/recording.cast",
        terminals.asciicast,
        name="asciicast",
    ),
]
