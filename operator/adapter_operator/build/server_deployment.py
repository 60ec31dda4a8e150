"""The apps/v1 Deployment of the servers, and the template of its pods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapter_contract import CONTRACT_VERSION
from adapter_contract.pods import ADAPTER_SET_FILE, MANAGEMENT_PORT, SERVER_CONFIG, SERVING_PORT
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.labels import DEPLOYMENT_UID
from adapter_operator.build.adapter_set import SET_FILE, adapter_set_mounts
from adapter_operator.build.base_model import ResolvedBaseModel
from adapter_operator.build.metadata import child_metadata
from adapter_operator.build.mounts import joined
from adapter_operator.build.pod_template import Program, pod_template
from adapter_operator.build.server_config import api_keys_mounts, server_config
from adapter_operator.build.storage import ResolvedAccess

JSON = dict[str, Any]

HTTP_PORT_NAME: Final = "http"
MANAGEMENT_PORT_NAME: Final = "management"

_START_SECONDS: Final = 1800
"""A base model of many gigabytes may take that long to arrive and load."""

_ROLLOUT_SLACK_SECONDS: Final = 300
_PROBE_SECONDS: Final = 2

_ENDPOINT_SECONDS: Final = 5
"""A pod that leaves goes on answering that long, until every proxy has dropped it from its endpoints."""


@dataclass(frozen=True)
class ServerInputs:
    """What a server pod is made from, beside the spec: everything that is resolved.

    Attributes:
        base: the base model.
        access: how the store of the adapters is reached.
        set_name: config map of the AdapterSet.
        digest: of all inputs; it is written on the pods.
    """

    base: ResolvedBaseModel
    access: ResolvedAccess
    set_name: str
    digest: str


def pod_labels(deployment: AdapterDeployment) -> dict[str, str]:
    """What selects the pods: it must not change, and no other object's pods may have it."""
    return {DEPLOYMENT_UID: deployment.metadata.uid}


def server_template(deployment: AdapterDeployment, inputs: ServerInputs, settings: OperatorSettings) -> JSON:
    """The pod template, by the settings of today."""
    spec = deployment.spec
    mounts = joined(
        (
            adapter_set_mounts(inputs.set_name),
            inputs.base.mounts,
            inputs.access.mounts("adapters"),
            api_keys_mounts(spec),
        )
    )
    program = Program(
        component="server",
        image=spec.pod.image or settings.images.server,
        environment={
            SERVER_CONFIG: server_config(spec, inputs.base).to_json().decode(),
            ADAPTER_SET_FILE: SET_FILE,
        },
        mounts=mounts,
        ports=(
            {"name": HTTP_PORT_NAME, "containerPort": SERVING_PORT, "protocol": "TCP"},
            {"name": MANAGEMENT_PORT_NAME, "containerPort": MANAGEMENT_PORT, "protocol": "TCP"},
        ),
        settings=_probes() | _farewell(deployment),
    )
    template = pod_template(deployment, program, pod=spec.pod, defaults=settings.pods.server, restart_policy="Always")
    said = {keys.TEMPLATE_INPUTS: inputs.digest, keys.CONTRACT_VERSION: str(CONTRACT_VERSION)}
    template["metadata"]["annotations"] = template["metadata"].get("annotations", {}) | said
    return template


def server_deployment(
    deployment: AdapterDeployment, template: Mapping[str, Any], *, annotations: Mapping[str, str]
) -> JSON:
    """The Deployment with the template that was built, or that is to stay."""
    spec = deployment.spec
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(deployment, deployment.metadata.name, annotations=annotations),
        "spec": {
            "progressDeadlineSeconds": _START_SECONDS + _ROLLOUT_SLACK_SECONDS,
            "replicas": spec.replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": pod_labels(deployment)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {
                    "maxSurge": spec.rollout.max_surge,
                    "maxUnavailable": spec.rollout.max_unavailable,
                },
            },
            "template": dict(template),
        },
    }


def _probes() -> JSON:
    """Started: the base answers, which alone opens the port. Alive: asked apart from the load of requests."""
    return {
        "startupProbe": _probe("/healthz", HTTP_PORT_NAME, _PROBE_SECONDS, _START_SECONDS // _PROBE_SECONDS),
        "readinessProbe": _probe("/readyz", HTTP_PORT_NAME, _PROBE_SECONDS, 3),
        "livenessProbe": _probe("/healthz", MANAGEMENT_PORT_NAME, 10, 6),
    }


def _probe(path: str, port: str, period: int, failures: int) -> JSON:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _farewell(deployment: AdapterDeployment) -> JSON:
    """Before SIGTERM, as long as the grace period has room beside draining."""
    spec = deployment.spec
    seconds = min(_ENDPOINT_SECONDS, spec.pod.termination_grace_period_seconds - spec.rollout.drain_seconds)
    return {"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}} if seconds > 0 else {}
