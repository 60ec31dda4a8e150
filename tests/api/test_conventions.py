"""The generated CRDs keep the conventions, and each lint sees what it is there for."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from adapter_testing import api_lint
from adapter_testing.manifests import MODELS, committed_crd

pytestmark = pytest.mark.unit

Break = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("lint", api_lint.LINTS, ids=lambda lint: lint.__name__)
def test_crd_keeps_the_convention(kind: str, lint: api_lint.Lint) -> None:
    assert list(lint(committed_crd(kind))) == []


def _spec(crd: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = api_lint.root(crd)["properties"]["spec"]["properties"]
    return fields


def _items(crd: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = _spec(crd)["adapters"]["items"]["properties"]
    return fields


def _status(crd: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = api_lint.root(crd)["properties"]["status"]["properties"]
    return fields


def _optional_immutable_field(crd: dict[str, Any]) -> None:
    spec = api_lint.root(crd)["properties"]["spec"]
    spec["x-kubernetes-validations"].append({"rule": "self.storage == oldSelf.storage", "message": "immutable"})


BREAKS: dict[str, Break] = {
    "no_foreign_keywords": lambda crd: _spec(crd)["storage"].update(nullable=True),
    "conditions_and_no_phase": lambda crd: _status(crd).update(phase={"type": "string"}),
    "enums_instead_of_booleans": lambda crd: _spec(crd).update(enabled={"type": "boolean"}),
    "camel_case_enums": lambda crd: _spec(crd)["engine"]["properties"]["type"]["enum"].append("tgi"),
    "camel_case_fields": lambda crd: _spec(crd).update(max_rank={"type": "integer"}),
    "no_floats": lambda crd: _spec(crd).update(rate={"type": "number"}),
    "named_lists_instead_of_maps": lambda crd: _spec(crd).update(
        models={"type": "object", "additionalProperties": {"type": "string"}}
    ),
    "list_types": lambda crd: _spec(crd)["adapters"].pop("x-kubernetes-list-type"),
    "defaults_do_not_stick": lambda crd: _spec(crd)["adapters"]["items"]["properties"]["policy"].update(
        default="Optional"
    ),
    "everything_bounded": lambda crd: _spec(crd)["adapters"].pop("maxItems"),
    "unions_have_one_member": lambda crd: _spec(crd)["engine"].pop("x-kubernetes-validations"),
    "described": lambda crd: _spec(crd)["storage"].update(description="How to reach the store."),
    "units_in_names": lambda crd: _spec(crd).update(
        timeout={"type": "integer", "description": "Seconds after which it ends."}
    ),
    "optional_status": lambda crd: api_lint.root(crd)["properties"]["status"].update(required=["replicas"]),
    "names_fit_children": lambda crd: api_lint.root(crd)["properties"]["metadata"]["properties"].update(name={}),
    "subresources_and_columns": lambda crd: crd["spec"]["versions"][0]["additionalPrinterColumns"].pop(0),
    "lists_under_rules_are_short": lambda crd: _spec(crd)["adapters"].update(maxItems=257),
    "transition_rules_guard_optional_fields": _optional_immutable_field,
}


@pytest.mark.parametrize("lint", api_lint.LINTS, ids=lambda lint: lint.__name__)
def test_lint_sees_a_broken_convention(lint: api_lint.Lint) -> None:
    crd = deepcopy(committed_crd("AdapterDeployment"))
    assert list(lint(crd)) == []
    BREAKS[lint.__name__](crd)
    assert list(lint(crd)) != []
