"""The plain statements of the hot path: equality only, without the ORM's query compiler.

The compiler takes ten times as long as the database here. Names and values go through the
models' own fields, so that they are right for every database.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field, Model


def exists(model: type[Model], **where: Any) -> bool:
    """Tell whether there is a row with these values."""
    clause, values = _clause(model, where, " AND ")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {_table(model)} WHERE {clause} LIMIT 1", values)  # noqa: S608
        return cursor.fetchone() is not None


def insert(row: Model) -> None:
    """Write a new row, every field of it."""
    fields = row._meta.concrete_fields
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(_insert_into(type(row)), values)


def update(model: type[Model], changes: Mapping[str, Any], **where: Any) -> int:
    """Change the rows with these values; return how many there were."""
    assignments, values = _clause(model, changes, ", ")
    clause, more = _clause(model, where, " AND ")
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {_table(model)} SET {assignments} WHERE {clause}", values + more)  # noqa: S608
        return int(cursor.rowcount)


@cache
def _field(model: type[Model], name: str) -> Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def _clause(model: type[Model], values: Mapping[str, Any], joint: str) -> tuple[str, list[Any]]:
    fields = [_field(model, name) for name in values]
    clause = joint.join(f"{_quoted(field.column)} = %s" for field in fields)
    prepared = zip(fields, values.values(), strict=True)
    return clause, [field.get_db_prep_save(value, connection) for field, value in prepared]


@cache
def _insert_into(model: type[Model]) -> str:
    columns = [_quoted(field.column) for field in model._meta.concrete_fields]
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {_table(model)} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608


@cache
def _table(model: type[Model]) -> str:
    return _quoted(model._meta.db_table)


@cache
def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
