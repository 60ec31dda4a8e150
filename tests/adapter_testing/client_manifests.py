"""What tests of clients create: objects that nothing runs, and workloads that run as processes."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]

# The image that is this machine.
IMAGE = "devcluster.local/host"
# A shell script that stays, and ends at once when it is told to.
STAY = "trap 'exit 0' TERM; echo started $COLOR; while :; do sleep 0.05; done"


def boat(name: str = "ada", *, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """Return a custom resource, as ``boats.yaml`` defines them, with a crew of three."""
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "harbour.example.dev/v1", "kind": "Boat", "metadata": metadata, "spec": {"crew": 3, **spec}}


def config_map(name: str = "settings", *, labels: dict[str, str] | None = None, **data: str) -> Manifest:
    """Return a config map."""
    metadata = {"name": name, "labels": labels or {"app": "shop"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def container(script: str, name: str = "main", **fields: Any) -> Manifest:
    """Return a container that runs a shell script."""
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def pod(name: str, *containers: Manifest, **spec: Any) -> Manifest:
    """Return a pod whose label ``app`` is its name."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": list(containers), "terminationGracePeriodSeconds": 5, **spec},
    }


def deployment(replicas: int = 2, *, main: Manifest | None = None, **spec: Any) -> Manifest:
    """Return a deployment ``web``; its pods say a color, and stay."""
    main = main or container(STAY, env=[{"name": "COLOR", "value": "red"}])
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod("web", main)["spec"]},
            **spec,
        },
    }


def job(name: str, script: str, **spec: Any) -> Manifest:
    """Return a job that runs a shell script."""
    template = {"spec": {"restartPolicy": "Never", "containers": [container(script)]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}
