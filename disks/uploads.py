"""Take a multipart upload apart, its file straight into a spool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from disks.spool import Spool
from project.errors import Invalid, TooLarge

FIELD = "file"


@dataclass(frozen=True, slots=True)
class Upload:
    """What a form held: its one file, that file's name as it was sent, and the other fields."""

    spool: Spool
    filename: str
    fields: Mapping[str, str]


class _Parser(MultiPartParser):
    """Django's parser, that leaves a file its name.

    Django's own reading of names is for files on a server's disk: it undoes HTML, cuts at
    backslashes and drops what it does not like.
    """

    def sanitize_file_name(self, file_name: str) -> str:
        return file_name.rstrip("/").rpartition("/")[2]


class _ToSpool(FileUploadHandler):
    """Writes the first file of the field into a spool, and skips all others."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.spool: Spool | None = None
        self.filename = ""

    def new_file(self, field_name: str, file_name: str, *args: Any, **kwargs: Any) -> None:
        if field_name != FIELD or self.spool is not None:
            raise SkipFile
        self.spool, self.filename = Spool(self.limit), file_name

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self.spool is not None
        self.spool.write(raw_data)

    def file_complete(self, file_size: int) -> None:
        return None


def parse(request: HttpRequest, limit: int) -> Upload:
    """Take a form apart; blocks. Raises Invalid, TooLarge. The caller discards the spool."""
    handler = _ToSpool(limit)
    try:
        fields = _fields_of(request, handler)
        if handler.spool is None:
            raise Invalid("file is required")
        handler.spool.close()
    except BaseException:
        if handler.spool is not None:
            handler.spool.discard()
        raise
    return Upload(handler.spool, handler.filename, fields)


def _fields_of(request: HttpRequest, handler: _ToSpool) -> Mapping[str, str]:
    content_type = request.headers.get("Content-Type", "")
    if not content_type.startswith("multipart/form-data"):
        raise Invalid("file is required, in a body of multipart/form-data")
    # The length matters only in that it is not 0: a body in chunks comes without one.
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": "1"}
    try:
        fields, _ = _Parser(meta, request, [handler], "utf-8").parse()
    except MultiPartParserError as error:
        raise Invalid(f"the form cannot be read: {error}") from error
    except (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent) as error:
        raise TooLarge("the form has too many fields, or too large ones") from error
    return {name: str(fields[name]) for name in fields}
