"""Settings of the tests: the product's own, with a data folder of their own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_data = Path(tempfile.mkdtemp(prefix="sandbank-tests-"))
os.environ["SANDBANK_DATA"] = str(_data)
os.environ.setdefault("SECRET_KEY", "only for tests: " + "x" * 50)

from project.settings import *  # noqa: E402, F403
from project.settings import DATABASES, STORAGES  # noqa: E402

DEBUG = False
TESTING = True
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A file, not memory: the product's database work happens in other threads.
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": str(_data / "tests.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] = (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    )
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
