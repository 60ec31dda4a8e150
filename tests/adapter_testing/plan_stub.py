"""A plan made by hand, for tests of whatever carries plans out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Object = dict[str, Any]


@dataclass(frozen=True)
class Fenced:
    manifest: Object
    selector: str


@dataclass(frozen=True)
class Deletion:
    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    propagation: Literal["Foreground", "Background"] = "Background"


@dataclass(frozen=True)
class Nudge:
    name: str
    uid: str
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class News:
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class HandmadePlan:
    create: tuple[Object, ...] = ()
    status: Object | None = None
    fenced: Fenced | None = None
    apply: tuple[Object, ...] = ()
    delete: tuple[Deletion, ...] = ()
    nudge: tuple[Nudge, ...] = ()
    events: tuple[News, ...] = ()
    requeue_after: float | None = field(default=None)
