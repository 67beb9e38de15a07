"""All of Sandbank's settings, each read from the environment once, at start.

docs/operating.md has the table of them for operators.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import environ
from django.utils.csp import CSP

from project.secrets import stored_secret

MIB = 2**20
GIB = 2**30

env = environ.FileAwareEnv()
BASE_DIR = Path(__file__).resolve().parent.parent

# Where everything that must outlive the process is kept.
DATA_DIR = Path(env.str("SANDBANK_DATA", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

# --- Django ---------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or stored_secret(DATA_DIR / "secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Where the outside world finds this server; public links are made with it. Empty: the request's host.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
BEHIND_TLS = env.bool("BEHIND_TLS", default=PUBLIC_URL.startswith("https://"))

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "ninja",
    "project",
    "sandboxes",
    "disks",
]

# Of pages; the API has a shorter chain, in project/handler.py.
MIDDLEWARE = [
    "project.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "project.middleware.ErrorPageMiddleware",
]

ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
# The clients of the API do not follow redirects: an address is right or it is a 404.
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.csp",
                "project.shell.shell",
            ],
            "builtins": ["project.templatetags.sandbank"],
        },
    },
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
# How dates are written where no template says so: in the admin panel.
FORMAT_MODULE_PATH = ["project.formats"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_ENGINE = "project.sessions"
LOGIN_URL = "login"
CSRF_FAILURE_VIEW = "project.views.errors.csrf_failed"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

# --- Database -------------------------------------------------------------------------------
DATABASES = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'sandbank.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        # Without IMMEDIATE, writers that first read fail with "database is locked".
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        # FULL: what was answered with success is on disk, power cut or not.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# --- Files ----------------------------------------------------------------------------------
STORAGES = {
    "staticfiles": {"BACKEND": "project.static_files.Storage"},
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # The bytes of artifacts.
    "blobs": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": str(DATA_DIR / "blobs"),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}
if env.str("S3_BUCKET", default=""):
    STORAGES["blobs"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": env.str("S3_BUCKET"),
            "endpoint_url": env.str("S3_ENDPOINT_URL", default=None),
            "region_name": env.str("S3_REGION", default=None),
            "access_key": env.str("S3_ACCESS_KEY", default=None),
            "secret_key": env.str("S3_SECRET_KEY", default=None),
            "addressing_style": env.str("S3_ADDRESSING_STYLE", default=None),
            "location": env.str("S3_PREFIX", default=""),
            "default_acl": None,
            # No name comes twice, so nobody has to ask whether it is there.
            "file_overwrite": True,
            # What is read is streamed; nothing is gathered in memory.
            "max_memory_size": 8 * MIB,
        },
    }
# Uploads and copies are gathered here first; on the same file system as local blobs a rename ends them.
SPOOL_DIR = DATA_DIR / "spool"
SPOOL_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
FILE_UPLOAD_TEMP_DIR = str(SPOOL_DIR)
# Django gathers bodies in the default folder for such, which may be memory.
tempfile.tempdir = str(SPOOL_DIR)
FILE_UPLOAD_PERMISSIONS = 0o600

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

# --- Limits of the API ----------------------------------------------------------------------
# The largest body of a JSON request: a command may carry a whole file.
API_MAX_BODY_BYTES = env.int("API_MAX_BODY_BYTES", default=32 * MIB)
DATA_UPLOAD_MAX_MEMORY_SIZE = API_MAX_BODY_BYTES
# The largest file of an upload to a disk in one request, as upstream.
ARTIFACT_MAX_UPLOAD_BYTES = env.int("ARTIFACT_MAX_UPLOAD_BYTES", default=16 * MIB)
# The largest file that may be copied between a disk and a sandbox.
TRANSFER_MAX_BYTES = env.int("TRANSFER_MAX_BYTES", default=8 * GIB)
# How many transfers one server process runs at once; more wait.
TRANSFER_PARALLEL = env.int("TRANSFER_PARALLEL", default=4)
# How much text of one artifact an answer may carry, and how much of it is searched.
CONTENT_MAX_BYTES = env.int("CONTENT_MAX_BYTES", default=16 * MIB)
# How long one search through a disk's contents may take.
GREP_MAX_SECONDS = env.float("GREP_MAX_SECONDS", default=5.0)
PUBLIC_LINK_MAX_SECONDS = env.int("PUBLIC_LINK_MAX_SECONDS", default=7 * 24 * 3600)
# How long bytes that no artifact points to are kept before the sweep takes them.
BLOB_GRACE_SECONDS = env.int("BLOB_GRACE_SECONDS", default=24 * 3600)
# How long a deleted file stays in the trash of its disk.
TRASH_SECONDS = env.int("TRASH_SECONDS", default=30 * 24 * 3600)
# The largest file that a browser may upload, and how long an unfinished upload is kept.
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_BYTES", default=8 * GIB)
UPLOAD_SECONDS = env.int("UPLOAD_SECONDS", default=24 * 3600)

# --- Sandboxes ------------------------------------------------------------------------------
SANDBOX_ENGINE = env.str("SANDBOX_ENGINE", default="docker")
SANDBOX_RUNTIME = env.str("SANDBOX_RUNTIME", default="")
# Images a caller may name besides the default one, which is built from sandboxes/image/.
SANDBOX_IMAGE = env.str("SANDBOX_IMAGE", default="")
SANDBOX_IMAGES = env.list("SANDBOX_IMAGES", default=[])
# How long the engine and the guest may take until a new sandbox runs.
SANDBOX_CREATE_SECONDS = env.float("SANDBOX_CREATE_SECONDS", default=60.0)
SANDBOX_SECONDS = env.int("SANDBOX_SECONDS", default=30 * 60)
SANDBOX_MAX_SECONDS = env.int("SANDBOX_MAX_SECONDS", default=24 * 3600)
# May a caller ask for a sandbox that never expires?
SANDBOX_ALLOW_NEVER = env.bool("SANDBOX_ALLOW_NEVER", default=False)
SANDBOX_CPUS = env.float("SANDBOX_CPUS", default=1.0)
SANDBOX_MAX_CPUS = env.float("SANDBOX_MAX_CPUS", default=4.0)
SANDBOX_MEMORY_BYTES = env.int("SANDBOX_MEMORY_BYTES", default=1 * GIB)
SANDBOX_MAX_MEMORY_BYTES = env.int("SANDBOX_MAX_MEMORY_BYTES", default=8 * GIB)
SANDBOX_WORKSPACE_BYTES = env.int("SANDBOX_WORKSPACE_BYTES", default=384 * MIB)
SANDBOX_MAX_WORKSPACE_BYTES = env.int("SANDBOX_MAX_WORKSPACE_BYTES", default=4 * GIB)
SANDBOX_PIDS = env.int("SANDBOX_PIDS", default=256)
# How many sandboxes of one project may be alive at once.
SANDBOX_MAX_PER_PROJECT = env.int("SANDBOX_MAX_PER_PROJECT", default=100)

COMMAND_SECONDS = env.float("COMMAND_SECONDS", default=30 * 60.0)
COMMAND_MAX_SECONDS = env.float("COMMAND_MAX_SECONDS", default=24 * 3600.0)
# Of each stream of a command so much is answered; what comes after is counted and dropped.
COMMAND_MAX_OUTPUT_BYTES = env.int("COMMAND_MAX_OUTPUT_BYTES", default=10 * MIB)
# Of each stream of a command so much is kept in the history, from its start and from its end.
COMMAND_KEPT_OUTPUT_BYTES = env.int("COMMAND_KEPT_OUTPUT_BYTES", default=64 * 1024)

# How many terminals may be open in one sandbox.
TERMINALS_PER_SANDBOX = env.int("TERMINALS_PER_SANDBOX", default=16)
# Of one terminal so much is recorded, if its sandbox's are.
RECORDING_MAX_BYTES = env.int("RECORDING_MAX_BYTES", default=16 * MIB)
# Of all terminals of one project together so much is recorded.
PROJECT_RECORDING_MAX_BYTES = env.int("PROJECT_RECORDING_MAX_BYTES", default=1 * GIB)

SUPERVISOR_SECONDS = env.float("SUPERVISOR_SECONDS", default=10.0)
# How often the usage of every running sandbox is read.
USAGE_SECONDS = env.float("USAGE_SECONDS", default=5.0)

# How long after the end of a sandbox its use, recordings and commands' output are kept, and how
# long it and its commands are known at all. 0: for good.
HISTORY_DAYS = env.int("HISTORY_DAYS", default=90)
SANDBOX_DAYS = env.int("SANDBOX_DAYS", default=0)
# How long the lines of activity are kept.
ACTIVITY_DAYS = env.int("ACTIVITY_DAYS", default=365)

# --- Web ------------------------------------------------------------------------------------
CHANNEL_LAYERS: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer",
        # By itself this layer puts a page out of its groups after a day. Ours leave when they
        # close, as with the Redis layer, which knows no such limit.
        "CONFIG": {"group_expiry": 100 * 365 * 24 * 3600},
    }
}
if env.str("REDIS_URL", default=""):
    CHANNEL_LAYERS["default"] = {
        # The plain Redis layer drops messages past its capacity without a word.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [env.str("REDIS_URL")]},
    }

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_SSL_REDIRECT = BEHIND_TLS
# A redirect would reach an API client as an answer it cannot read.
SECURE_REDIRECT_EXEMPT = [r"^api/", r"^health$"]
SECURE_HSTS_SECONDS = 31536000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = BEHIND_TLS
SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
# Nothing runs and nothing loads but what this server sends as its own. What boxes and people
# wrote is sent with a policy of its own: project/downloads.py.
SECURE_CSP = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:", "blob:"],
    "connect-src": [CSP.SELF],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- Logging --------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "project.request_id.RequestIdFilter"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"}
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id"],
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Every 4xx answer of Django's own would be a second line beside the access log.
        "django.request": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
    },
}
