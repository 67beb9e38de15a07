"""Public links to an artifact: signed, so that nothing has to be stored, and bound to one version.

A link dies with its time, with its artifact, and with the version it was made for.
"""

from __future__ import annotations

import time
import uuid

from django.conf import settings
from django.core import signing

from disks.models import Artifact
from project.errors import Invalid, NotFound

SALT = "sandbank.material"


def token_for(artifact: Artifact, seconds: int) -> str:
    """Sign a link that is good for so long. Raises Invalid for a time out of bounds."""
    most = settings.PUBLIC_LINK_MAX_SECONDS
    if not 1 <= seconds <= most:
        raise Invalid(f"expire: must be from 1 to {most} seconds")
    expires = int(time.time()) + seconds
    return signing.dumps([artifact.id.hex, artifact.blob_id.hex, expires], salt=SALT)


def artifact_of(token: str) -> Artifact:
    """Return the artifact a link is good for. Reads the database. Raises NotFound."""
    try:
        artifact_id, blob_id, expires = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        raise _no_material() from None
    if time.time() >= expires:
        raise NotFound("material not found: the link has expired", tag="material_not_found")
    artifact = (
        Artifact.objects.select_related("blob")
        .filter(id=uuid.UUID(artifact_id), blob_id=uuid.UUID(blob_id))
        .first()
    )
    if artifact is None:
        raise _no_material()
    return artifact


def _no_material() -> NotFound:
    return NotFound("material not found", tag="material_not_found")
