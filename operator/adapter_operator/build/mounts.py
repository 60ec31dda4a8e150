"""Volumes of a pod together with where its container sees them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]


@dataclass(frozen=True)
class Mounts:
    """Volumes of the pod and the mounts of its one container; `+` joins two."""

    volumes: tuple[JSON, ...] = ()
    volume_mounts: tuple[JSON, ...] = ()

    def __add__(self, other: "Mounts") -> "Mounts":
        """Both together."""
        return Mounts(self.volumes + other.volumes, self.volume_mounts + other.volume_mounts)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the container sees them."""
        return tuple(mount["mountPath"] for mount in self.volume_mounts)


def joined(parts: Iterable[Mounts]) -> Mounts:
    """All parts together."""
    return sum(parts, Mounts())


def mounted(name: str, source: JSON, path: str, *, read_only: bool = True) -> Mounts:
    """One volume at one path.

    Args:
        name: of the volume, unique in the pod.
        source: the volume's member that says what it is, such as `{"secret": {...}}`.
        path: where the container sees it.
        read_only: whether the container may write.

    """
    mount: JSON = {"name": name, "mountPath": path}
    if read_only:
        mount["readOnly"] = True
    return Mounts(volumes=({"name": name, **source},), volume_mounts=(mount,))
