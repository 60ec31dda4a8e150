"""The class that a pod's requests and limits put it into (``pkg/apis/core/helper/qos``, v1.36)."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.objects import Object

_COUNTED: Final = ("cpu", "memory")


def quality_of_service(spec: Object) -> str:
    """Return ``Guaranteed``, ``Burstable`` or ``BestEffort``."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    # Resources of the whole pod, where they are given, decide alone.
    holders = [spec] if spec.get("resources") else containers
    amounts = [(_amounts(one, "requests"), _amounts(one, "limits")) for one in holders]
    if not any(requests or limits for requests, limits in amounts):
        return "BestEffort"
    if all(len(limits) == len(_COUNTED) and requests == limits for requests, limits in amounts):
        return "Guaranteed"
    return "Burstable"


def _amounts(holder: Object, kind: str) -> dict[str, object]:
    found = (holder.get("resources") or {}).get(kind) or {}
    return {name: value for name in _COUNTED if (value := value_of(found.get(name, "0")))}
