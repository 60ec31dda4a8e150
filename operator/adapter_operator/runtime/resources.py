"""Which path of the API a kind is served at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote


@dataclass(frozen=True)
class ResourceType:
    """A namespaced kind."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        group, _, version = self.api_version.rpartition("/")
        return group if version else ""

    @property
    def version(self) -> str:
        """The API version without the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """The path of an object, of its subresource, or of a collection; without a namespace that of all of them."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        parts = [root, *(("namespaces", quote(namespace, safe="")) if namespace else ()), self.plural]
        return "/".join([*parts, *(quote(part, safe="") for part in (name, subresource) if part)])


CONFIG_MAPS: Final = ResourceType("v1", "ConfigMap", "configmaps")
EVENTS: Final = ResourceType("v1", "Event", "events")
PODS: Final = ResourceType("v1", "Pod", "pods")
SERVICES: Final = ResourceType("v1", "Service", "services")
CONTROLLER_REVISIONS: Final = ResourceType("apps/v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENTS: Final = ResourceType("apps/v1", "Deployment", "deployments")
REPLICA_SETS: Final = ResourceType("apps/v1", "ReplicaSet", "replicasets")
JOBS: Final = ResourceType("batch/v1", "Job", "jobs")
POD_DISRUPTION_BUDGETS: Final = ResourceType("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")

BUILT_IN: Final = (
    CONFIG_MAPS,
    EVENTS,
    PODS,
    SERVICES,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    REPLICA_SETS,
    JOBS,
    POD_DISRUPTION_BUDGETS,
)


class UnknownKindError(LookupError):
    """The operator was never told of a kind."""


class Resources:
    """The kinds that a program works with: the built-in ones and its own."""

    def __init__(self, own: Iterable[ResourceType] = ()) -> None:
        self._types = {(one.api_version, one.kind): one for one in (*BUILT_IN, *own)}

    def find(self, api_version: str, kind: str) -> ResourceType:
        """The type of a kind.

        Raises:
            UnknownKindError: the kind is none of these.

        """
        try:
            return self._types[api_version, kind]
        except KeyError as error:
            raise UnknownKindError(f"{api_version} {kind} is no kind that the operator works with") from error

    def of(self, obj: Mapping[str, Any]) -> ResourceType:
        """The type of an object; errors as in `find`."""
        return self.find(obj["apiVersion"], obj["kind"])
