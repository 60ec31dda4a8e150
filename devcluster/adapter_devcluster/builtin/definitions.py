"""Kubernetes' own schema definitions, as its OpenAPI document names them.

They come with the package kubernetes-validate, in the version that this server speaks. The file is read when
the first definition is asked for (about 8 ms), once per process.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from adapter_devcluster.objects import Object

VERSION: Final = "1.36.0"
META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_REFERENCE: Final = "#/$defs/"


class DefinitionsMissingError(RuntimeError):
    """The package that carries the definitions is not installed."""


@cache
def definitions() -> Mapping[str, Object]:
    """Return every definition by its name (``io.k8s.api.core.v1.Pod``). They are shared: change nothing.

    Raises DefinitionsMissingError.
    """
    # Only found, never imported: the package itself would load a YAML parser and a schema validator.
    package = importlib.util.find_spec("kubernetes_validate")
    if package is None or not package.submodule_search_locations:
        raise DefinitionsMissingError("the package kubernetes-validate is not installed: it carries the schemas")
    folder = Path(next(iter(package.submodule_search_locations)))
    content = (folder / "kubernetes-json-schema" / f"v{VERSION}-local" / "_definitions.json").read_bytes()
    found: dict[str, Object] = orjson.loads(content)["$defs"]
    return found


def definition(name: str) -> Object:
    """Return a definition. Raises KeyError."""
    return definitions()[name]


@cache
def _kinds() -> Mapping[tuple[str, str, str], str]:
    return {
        (found["group"], found["version"], found["kind"]): name
        for name, one in definitions().items()
        for found in one.get("x-kubernetes-group-version-kind", ())
    }


def definition_of(api_version: str, kind: str) -> str | None:
    """Return the name of a kind's definition (``apps/v1``, ``Deployment``), or None."""
    group, _, version = api_version.rpartition("/")
    return _kinds().get((group, version, kind))


def referenced(schema: Mapping[str, Any]) -> str | None:
    """Return the name of the definition that a schema refers to, if it is a reference."""
    found = schema.get("$ref")
    return found.removeprefix(_REFERENCE) if isinstance(found, str) else None
