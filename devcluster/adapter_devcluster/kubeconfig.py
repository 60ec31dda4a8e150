"""The kubeconfig that kubectl, Helm and operators use to reach the cluster."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from adapter_devcluster.objects import Object

_CONTEXT = "adapter-devcluster"


def kubeconfig(server: str, token: str, authority: str = "", namespace: str = "default") -> Object:
    """Return a kubeconfig for one user of one cluster. ``authority`` is PEM, "" for plain HTTP."""
    cluster: Object = {"server": server}
    if authority:
        cluster["certificate-authority-data"] = base64.b64encode(authority.encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _CONTEXT, "cluster": cluster}],
        "users": [{"name": _CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": _CONTEXT, "context": {"cluster": _CONTEXT, "user": _CONTEXT, "namespace": namespace}}],
        "current-context": _CONTEXT,
        "preferences": {},
    }


def write_kubeconfig(path: Path, config: Object) -> None:
    """Write a kubeconfig that only its owner can read: it holds a token."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
