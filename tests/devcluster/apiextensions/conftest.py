from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter_devcluster.apiextensions import Resource, Schema

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def gadget_crd() -> dict[str, Any]:
    return json.loads((DATA / "gadget_crd.json").read_text())


@pytest.fixture(scope="session")
def gadgets(gadget_crd: dict[str, Any]) -> Schema:
    return Schema.from_crd(gadget_crd, "v1alpha1")


@pytest.fixture(scope="session")
def recording() -> Callable[[str], list[dict[str, Any]]]:
    """The steps of a recorded scenario; placeholders become values of their kind."""

    def steps(name: str) -> list[dict[str, Any]]:
        text = (DATA / f"{name}.json").read_text()
        return json.loads(text.replace("<ns>", "ns").replace("<time>", "2026-01-01T00:00:00Z"))

    return steps


@pytest.fixture(scope="session")
def schema_of() -> Callable[..., Schema]:
    """Compile a schema whose `spec` is given; further keywords go to the root."""

    def compile_spec(spec: dict[str, Any], *, scale: Any = None, status: bool = False, **root: Any) -> Schema:
        properties = {"spec": spec, **root.pop("properties", {})}
        raw = {"type": "object", "properties": properties, **root}
        return Schema.compile(raw, Resource("example.dev", "v1", "Thing", status_subresource=status, scale=scale))

    return compile_spec


@pytest.fixture(scope="session")
def thing() -> Callable[..., dict[str, Any]]:
    def make(spec: Any, **rest: Any) -> dict[str, Any]:
        return {"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec, **rest}

    return make
