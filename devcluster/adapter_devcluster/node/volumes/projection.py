"""The files of volumes that show API objects: secrets, config maps, the downward API, tokens, and all of them together.

Sources: ``pkg/volume/{configmap,secret,downwardapi,projected}``, v1.36.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Protocol

from adapter_devcluster.node.downward import field_value, resource_value
from adapter_devcluster.node.environment import Lookup
from adapter_devcluster.node.stored_data import data_of
from adapter_devcluster.node.volumes.atomic_writer import File
from adapter_devcluster.objects import Object, key, section

_DEFAULT_MODE: Final = 0o644
_TOKEN_SECONDS: Final = 3600
_DAY: Final = 24 * 3600.0
# Names as a volume has them -> resource, and the kind that messages name.
_OBJECTS: Final = {"configMap": ("configmaps", "configmap"), "secret": ("secrets", "secret")}
SHOWING_OBJECTS: Final = ("secret", "configMap", "downwardAPI", "projected")


class VolumeError(Exception):
    """A volume can't be made (yet); the message says why."""


class IssuedToken(Protocol):
    """A token, and when it expires, in seconds since 1970."""

    @property
    def token(self) -> str:
        """The token itself."""

    @property
    def expires(self) -> float:
        """Its end."""


class Tokens(Protocol):
    """Issues service account tokens."""

    def issue_for_pod(self, pod: Object, audience: str = "", expiration_seconds: int = _TOKEN_SECONDS) -> IssuedToken:
        """Return a token of a pod's service account, bound to the pod. Raises StatusError."""


class PodTokens:
    """The tokens of one pod. Each is renewed after 80 % of its life, or a day."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        # Audience and life -> token and when to renew it.
        self._held: dict[tuple[str, int], tuple[str, float]] = {}

    def get(self, pod: Object, audience: str, seconds: int) -> str:
        """Return a token that is fresh enough. Raises StatusError."""
        now = time.time()
        token, renew_at = self._held.get((audience, seconds), ("", 0.0))
        if renew_at <= now:
            issued = self._tokens.issue_for_pod(pod, audience, seconds)
            token, renew_at = issued.token, now + min((issued.expires - now) * 0.8, _DAY)
            self._held[(audience, seconds)] = token, renew_at
        return token

    def renew_in(self) -> float | None:
        """Return in how many seconds the first one is due; None without tokens."""
        return min((renew_at - time.time() for _, renew_at in self._held.values()), default=None)


@dataclass(frozen=True, slots=True)
class Projector:
    """Works out the files of a pod's volumes. ``allocatable`` is the node's, for missing limits."""

    lookup: Lookup
    tokens: PodTokens
    allocatable: Mapping[str, str]

    def files(self, pod: Object, volume: Object) -> dict[str, File]:
        """Return the files of a volume of `SHOWING_OBJECTS`. Raises VolumeError, StatusError."""
        kind = next(one for one in SHOWING_OBJECTS if one in volume)
        source = section(volume, kind)
        mode = int(source.get("defaultMode") or _DEFAULT_MODE)
        if kind != "projected":
            return self._source(pod, kind, source, mode)
        files: dict[str, File] = {}
        for one in source.get("sources") or []:
            for name, content in one.items():
                files |= self._source(pod, name, content, mode)
        return files

    def _source(self, pod: Object, kind: str, source: Object, mode: int) -> dict[str, File]:
        match kind:
            case "configMap" | "secret":
                return self._object_files(key(pod)[0], kind, source, mode)
            case "downwardAPI":
                return {path: File(data, one) for path, data, one in self._downward(pod, source, mode)}
            case "serviceAccountToken":
                seconds = int(source.get("expirationSeconds") or _TOKEN_SECONDS)
                token = self.tokens.get(pod, str(source.get("audience") or ""), seconds)
                return {source["path"]: File(token.encode(), mode)}
            case "inline":  # the node's own, for the certificate of the API server
                return {path: File(text.encode(), mode) for path, text in source.items()}
        raise VolumeError(f"the projected volume source {kind} is not supported by this node")

    def _object_files(self, namespace: str, kind: str, source: Object, mode: int) -> dict[str, File]:
        resource, word = _OBJECTS[kind]
        name = str(source.get("secretName") or source.get("name") or "")
        found = self.lookup(resource, namespace, name)
        if found is None:
            if source.get("optional"):
                return {}
            raise VolumeError(f'{word} "{name}" not found')
        data, items = data_of(found), source.get("items")
        if not items:
            return {name: File(value, mode) for name, value in data.items()}
        files = {}
        for item in items:
            if item["key"] in data:
                files[str(PurePosixPath(item["path"]))] = File(data[item["key"]], int(item.get("mode") or mode))
            elif not source.get("optional"):
                word = "secret" if kind == "secret" else "config"
                raise VolumeError(f"references non-existent {word} key: {item['key']}")
        return files

    def _downward(self, pod: Object, source: Object, mode: int) -> Iterator[tuple[str, bytes, int]]:
        for item in source.get("items") or []:
            try:
                if reference := item.get("fieldRef"):
                    text = field_value(pod, reference["fieldPath"])
                else:
                    text = resource_value(pod, {}, section(item, "resourceFieldRef"), self.allocatable)
            except ValueError as error:
                raise VolumeError(str(error)) from error
            yield str(PurePosixPath(item["path"])), text.encode(), int(item.get("mode") or mode)


def shown_objects(volume: Object) -> Iterator[tuple[str, str]]:
    """Yield resource and name of the config maps and secrets that a volume shows."""
    sources = [volume, *(section(volume, "projected").get("sources") or [])]
    for source in sources:
        for kind, (resource, _) in _OBJECTS.items():
            if kind in source:
                yield resource, str(source[kind].get("secretName") or source[kind].get("name") or "")
