"""Rows of Tables, for tests: objects that were made at a known moment, and their cells by column."""

from __future__ import annotations

from typing import Any

from adapter_devcluster.apiextensions.go_time import parse_date_time
from adapter_devcluster.builtin.catalogue import BUILTIN
from adapter_devcluster.presentation.tables import table

CREATED = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:02:00Z"
NOW = parse_date_time("2026-01-01T00:05:00Z")
TYPES = {one.resource: one for one in BUILTIN}


def made(**fields: Any) -> dict[str, Any]:
    """Return an object of that name and age."""
    meta = {"name": "x", "creationTimestamp": CREATED, **fields.pop("metadata", {})}
    return {"metadata": meta, **fields}


def shown(resource: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Return the cells of an object, five minutes after it was made."""
    found = table(TYPES[resource], [obj], now_ns=NOW, resource_version="7")
    names = [column["name"] for column in found["columnDefinitions"]]
    return dict(zip(names, found["rows"][0]["cells"], strict=True))
