"""The config map of an AdapterSet, and how pods mount it."""

from typing import Any, Final

from adapter_contract import AdapterSet
from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.build.metadata import child_metadata
from adapter_operator.build.mounts import Mounts, mounted

JSON = dict[str, Any]

_DIRECTORY: Final = "/adapter/set"

SET_FILE: Final = f"{_DIRECTORY}/{keys.SET_KEY}"
"""Where a pod finds its AdapterSet."""


def adapter_set_config_map(deployment: AdapterDeployment, name: str, document: AdapterSet, *, version: int) -> JSON:
    """The config map, in the contract version that the pods' image reads.

    Raises:
        DocumentTooLarge: so many adapters, with so long locations, do not fit.
        UnsupportedSchemaVersion: this release can't write that version.

    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(deployment, name),
        "data": {keys.SET_KEY: document.to_json(version=version).decode()},
    }


def adapter_set_mounts(name: str) -> Mounts:
    """The config map as a directory: a single file of it (subPath) would never change in a running pod."""
    return mounted("adapter-set", {"configMap": {"name": name}}, _DIRECTORY)
