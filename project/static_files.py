"""How static files are kept: each under a name with its hash, also inside scripts and styles."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    # Scripts import each other by their names; these get the hash too.
    support_js_module_import_aggregation = True
