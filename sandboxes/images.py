"""Which images a sandbox may be made from."""

from __future__ import annotations

from django.conf import settings

from project.errors import Invalid
from sandboxes.image.build import default_image_name


def default_image() -> str:
    """Return the image of a sandbox whose caller names none."""
    return settings.SANDBOX_IMAGE or default_image_name()


def short_name(image: str) -> str:
    """Return what pages call an image; the whole name stands in a title."""
    return "default" if image == default_image() else image.rpartition("/")[2]


def choose(wanted: str) -> str:
    """Return the image a caller may have. Raises Invalid for one the operator does not list."""
    if not wanted or wanted in ("default", default_image()):
        return default_image()
    if wanted not in settings.SANDBOX_IMAGES:
        offered = ", ".join(["default", *settings.SANDBOX_IMAGES])
        raise Invalid(f"image: {wanted!r} is not offered here; offered are: {offered}")
    return str(wanted)
