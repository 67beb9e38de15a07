"""Runs boxes: `get_engine()` is the way in, base.py says what to expect."""

from __future__ import annotations

import functools

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from .base import Engine

__all__ = ["close_engine", "get_engine"]


@functools.cache
def get_engine() -> Engine:
    """Return this process's engine, the one that SANDBOX_ENGINE names."""
    name = getattr(settings, "SANDBOX_ENGINE", "docker")
    if name == "docker":
        from .docker import DockerEngine

        return DockerEngine()
    if name == "local":
        return _local_engine()
    raise ImproperlyConfigured(f"SANDBOX_ENGINE is {name!r}: it must be 'docker' or 'local'.")


async def close_engine() -> None:
    """Let go of this process's engine, if it has one."""
    if get_engine.cache_info().currsize:
        await get_engine().close()
        get_engine.cache_clear()


def _local_engine() -> Engine:
    """Return the engine without isolation, where nobody else's code runs."""
    if not (settings.DEBUG or getattr(settings, "TESTING", False)):
        raise ImproperlyConfigured(
            "SANDBOX_ENGINE=local isolates nothing and runs only with DEBUG=true."
            " Set SANDBOX_ENGINE=docker."
        )
    from .local import LocalEngine

    return LocalEngine()
