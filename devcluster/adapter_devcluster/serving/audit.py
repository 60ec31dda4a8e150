"""The audit log: every call, by whom, on what, with which code, as ``audit.k8s.io/v1`` events of level Metadata."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import orjson

from adapter_devcluster.access.users import User
from adapter_devcluster.objects import Object, micro_timestamp
from adapter_devcluster.serving.paths import Target

_KEPT: Final = 100_000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One call."""

    user: User | None
    verb: str
    target: Target
    uri: str
    user_agent: str
    code: int
    received: str
    seconds: float
    impersonator: User | None = None

    def event(self) -> Object:
        """Return the entry as an audit event."""
        found = self.target
        named = {
            "resource": found.plural,
            "namespace": found.namespace,
            "name": found.name,
            "apiGroup": found.group,
            "apiVersion": found.version,
            "subresource": found.subresource,
        }
        event: Object = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": str(uuid.uuid4()),
            "stage": "ResponseComplete",
            "requestURI": self.uri,
            "verb": self.verb,
            "user": _user(self.user),
            "userAgent": self.user_agent,
            "responseStatus": {"metadata": {}, "code": self.code},
            "requestReceivedTimestamp": self.received,
            "stageTimestamp": micro_timestamp(),
        }
        if found.plural:
            event["objectRef"] = {name: value for name, value in named.items() if value}
        if self.impersonator:
            event["user"], event["impersonatedUser"] = _user(self.impersonator), _user(self.user)
        return event


def _user(user: User | None) -> Object:
    return {"username": user.name, "groups": list(user.groups)} if user else {}


class AuditLog:
    """Keeps the newest entries in memory, and writes all to a file where one is given."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: deque[AuditEntry] = deque(maxlen=_KEPT)
        self._file: TextIO | None = path.open("a", encoding="utf-8", buffering=1) if path else None

    def add(self, entry: AuditEntry) -> None:
        """Note a call."""
        self.entries.append(entry)
        if self._file:
            self._file.write(orjson.dumps(entry.event()).decode() + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None
