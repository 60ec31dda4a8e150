"""From a URL to what is asked for, as ``apiserver/pkg/endpoints/request/requestinfo.go`` (v1.36) reads it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

_VERBS: Final = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. ``plural`` is "" where it is no resource's; ``rest`` follows a proxy subresource."""

    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    plural: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    def verb(self, method: str, *, watch: bool) -> str:
        """Return the verb that access is decided on."""
        if not self.plural:
            return method.lower()
        verb = _VERBS.get(method, method.lower())
        if self.name:
            return verb
        if verb == "get":
            return "watch" if watch else "list"
        return "deletecollection" if verb == "delete" else verb


@lru_cache(maxsize=4096)
def parse_path(path: str) -> Target:
    """Read a request's path (still percent-encoded)."""
    parts = [unquote(part) for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        return _resource(path, "", parts[1], parts[2:])
    if parts[:1] == ["apis"] and len(parts) >= 4:
        return _resource(path, parts[1], parts[2], parts[3:])
    return Target(path)


def _resource(path: str, group: str, version: str, parts: list[str]) -> Target:
    namespace = ""
    # A namespace is both: an object, and where objects are.
    if parts[0] == "namespaces" and not group and len(parts) in (2, 3) and {*parts[2:]} <= _NAMESPACE_SUBRESOURCES:
        return Target(path, group, version, "", "namespaces", parts[1], "".join(parts[2:]))
    if parts[0] == "namespaces" and len(parts) >= 3:
        namespace, parts = parts[1], parts[2:]
    plural, name, subresource = [*parts[:3], "", "", ""][:3]
    if len(parts) > 3 and subresource != "proxy":
        return Target(path)
    return Target(path, group, version, namespace, plural, name, subresource, "/".join(parts[3:]))
