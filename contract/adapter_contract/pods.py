"""What the operator and the programs in its pods agree on beside the documents: variables, ports, paths.

A document may name files that are mounted (credentials, certificates, a base model). Where a node can't mount
them at these paths it replaces the paths in arguments and environment, but never inside a file. So the
environment also carries the list of mount paths twice, once in a spelling that no node replaces; `MountTable`
reads both and gives the document its paths as they really are. On a cluster both are the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from adapter_contract.documents import Part
from adapter_contract.scalars import AbsolutePath

MANAGEMENT_PORT: Final = 8081
"""Port of progress, adapters and metrics, in trainer and server pods. It is not in the Service."""

SERVING_PORT: Final = 8000
"""Port of the OpenAI API in server pods."""

BIND_ADDRESS: Final = "ADAPTER_BIND_ADDRESS"
"""Address that programs listen on; absent or empty means all."""

MANAGEMENT_PORT_VARIABLE: Final = "ADAPTER_MANAGEMENT_PORT"
SERVING_PORT_VARIABLE: Final = "ADAPTER_SERVING_PORT"

TRAINER_CONFIG_FILE: Final = "ADAPTER_TRAINER_CONFIG_FILE"
"""Path of the mounted TrainerConfig."""

ATTEMPT: Final = "ADAPTER_ATTEMPT"
"""Number of the attempt, from 1."""

SERVER_CONFIG: Final = "ADAPTER_SERVER_CONFIG"
"""The ServerConfig itself, as JSON."""

ADAPTER_SET_FILE: Final = "ADAPTER_SET_FILE"
"""Path of the mounted AdapterSet."""

WORK_DIRECTORY: Final = "ADAPTER_WORK_DIRECTORY"
"""Path of a writable directory with room for downloads; a server keeps its cache of adapters there."""

TERMINATION_FILE: Final = "ADAPTER_TERMINATION_FILE"
"""Path of the file whose content becomes the container's termination message."""

PROGRESS_PATH: Final = "/v1/progress"
"""On a trainer's management port; a document, or with `Accept: text/event-stream` a stream of them."""

ADAPTERS_PATH: Final = "/v1/adapters"
"""On a server's management port; a document, or with `Accept: text/event-stream` a stream of them."""

_MOUNTS: Final = "ADAPTER_MOUNTS"
_MOUNT_NAMES: Final = "ADAPTER_MOUNT_NAMES"

P = TypeVar("P", bound=Part)


def mount_environment(paths: Iterable[str]) -> dict[str, str]:
    """Return the variables that tell a program where a pod's volumes are mounted.

    Raises:
        ValueError: a path is not absolute, is the root, or has a colon.
    """
    listed = sorted(set(paths))
    for path in listed:
        if not path.startswith("/") or path.strip("/") == "" or ":" in path:
            raise ValueError(f"{path!r} can't be a mount path: it must be absolute, below / and without a colon")
    return {_MOUNTS: ":".join(listed), _MOUNT_NAMES: ":".join(path.removeprefix("/") for path in listed)}


@dataclass(frozen=True, slots=True)
class MountTable:
    """Where the mount paths of a pod really are."""

    places: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "MountTable":
        """Read what `mount_environment` wrote.

        Raises:
            ValueError: the two lists do not belong together.
        """
        places = [place for place in environment.get(_MOUNTS, "").split(":") if place]
        names = [name for name in environment.get(_MOUNT_NAMES, "").split(":") if name]
        if len(places) != len(names):
            raise ValueError(f"{_MOUNTS} lists {len(places)} paths, {_MOUNT_NAMES} {len(names)}")
        return cls({f"/{name}": place for name, place in zip(names, places, strict=True)})

    def resolve(self, path: str) -> str:
        """Return where a path really is: the innermost mount that holds it decides; others stay as they are."""
        holders = [mount for mount in self.places if path == mount or path.startswith(f"{mount}/")]
        if not holders:
            return path
        mount = max(holders, key=len)
        return self.places[mount] + path.removeprefix(mount)

    def resolve_paths(self, part: P) -> P:
        """Return the document, or part of one, with each of its absolute paths resolved."""
        updates: dict[str, Any] = {}
        for name, info in type(part).model_fields.items():
            value = getattr(part, name)
            found = self._resolved(value, is_path=_is_absolute_path(info.metadata, info.annotation))
            if found != value:
                updates[name] = found
        return part.model_copy(update=updates) if updates else part

    def _resolved(self, value: Any, *, is_path: bool) -> Any:  # noqa: ANN401 - whatever a field holds
        if isinstance(value, Part):
            return self.resolve_paths(value)
        if isinstance(value, tuple):
            return tuple(self._resolved(item, is_path=is_path) for item in value)
        return self.resolve(value) if is_path and isinstance(value, str) else value


_PATH_METADATA: Final = AbsolutePath.__metadata__  # type: ignore[attr-defined]  # Annotated has it


def _is_absolute_path(metadata: Iterable[Any], annotation: Any) -> bool:  # noqa: ANN401 - a type expression
    """Tell whether a field is an AbsolutePath, also as `AbsolutePath | None`."""
    marks = set(map(id, metadata))
    for argument in getattr(annotation, "__args__", ()):
        marks |= set(map(id, getattr(argument, "__metadata__", ())))
    return id(_PATH_METADATA[-1]) in marks
