"""The repository's own manifests, as tests read them."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from adapter_operator.api.schema.model import Resource
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.training import AdapterTraining

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS: Mapping[str, type[Resource]] = {"AdapterTraining": AdapterTraining, "AdapterDeployment": AdapterDeployment}
FILES = {"AdapterTraining": "training.yaml", "AdapterDeployment": "deployment.yaml"}


@cache
def committed_crd(kind: str) -> dict[str, Any]:
    """The CRD of a kind as it stands in `crds/`."""
    path = REPOSITORY / "crds" / f"adapters.dev_{kind.lower()}s.yaml"
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def example(folder: str, kind: str) -> dict[str, Any]:
    """A fresh copy of an example."""
    return deepcopy(_load(f"{folder}/{FILES[kind]}"))


@cache
def _load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPOSITORY / "examples" / name).read_text(encoding="utf-8"))
    return document


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every AdapterTraining and AdapterDeployment below `examples/`, with its path."""
    for path in sorted((REPOSITORY / "examples").rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document.get("kind") in MODELS:
                yield str(path.relative_to(REPOSITORY)), document


def changed(document: Mapping[str, Any], put: Mapping[str, Any] = {}, remove: tuple[str, ...] = ()) -> dict[str, Any]:
    """A copy of a document with values put at dotted paths, and paths taken away."""
    copy = deepcopy(dict(document))
    for dotted, value in put.items():
        *parents, last = dotted.split(".")
        target = copy
        for name in parents:
            target = target.setdefault(name, {})
        target[last] = deepcopy(value)
    for dotted in remove:
        *parents, last = dotted.split(".")
        target = copy
        for name in parents:
            target = target[name]
        del target[last]
    return copy
