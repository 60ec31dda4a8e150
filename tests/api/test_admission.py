"""What an API server does with our manifests, and that the models say the same."""

from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from adapter_devcluster.apiextensions import (
    CRD_LIMIT,
    RULE_LIMIT,
    Admitted,
    Refused,
    Schema,
    check_crd,
    check_openapi_schema,
    outside_core,
)
from adapter_operator.api.schema.model import InvalidResourceError, Resource
from adapter_testing.api_lint import root
from adapter_testing.cel_rules import every_rule
from adapter_testing.manifests import MODELS, REPOSITORY, changed, committed_crd, example, examples
from adapter_testing.mutations import mutated

pytestmark = pytest.mark.unit

TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (REPOSITORY / "tests/api/bad_manifests.yaml").read_text(encoding="utf-8")
)
KINDS = {"training": "AdapterTraining", "deployment": "AdapterDeployment"}
BAD = [(KINDS[section], case) for section in KINDS for case in TABLE[section]]
EXAMPLES = list(examples())


@cache
def served(kind: str) -> Schema:
    return Schema.from_crd(committed_crd(kind), "v1alpha1")


def read_back(admitted: Admitted) -> Any:
    """The spec as the operator reads what the server stored: with the defaults of both."""
    return MODELS[admitted.object["kind"]].parse(admitted.object).to_dict()["spec"]


def words(refused: Refused) -> list[tuple[str, str]]:
    return [(error.field, error.message) for error in refused.errors]


@pytest.mark.parametrize("kind", MODELS)
def test_api_server_takes_the_definition(kind: str) -> None:
    """Structural, defaults valid and pruned, rules compile and pass on the defaults, costs within the limits."""
    assert check_crd(committed_crd(kind)) == []


@pytest.mark.parametrize("kind", MODELS)
def test_rules_cost_a_hundredth_of_what_a_server_allows(kind: str) -> None:
    """The estimate is ours and conservative; the margin is for what it may not see."""
    report = check_openapi_schema(root(committed_crd(kind)), "schema", status_subresource=True).report
    assert report.errors == []
    assert report.costs
    assert max(cost.total for cost in report.costs) < RULE_LIMIT / 10
    assert report.total_cost < CRD_LIMIT / 100


@pytest.mark.parametrize("kind", MODELS)
def test_rules_use_the_core_language_only(kind: str) -> None:
    rules = [rule for _, rule in every_rule(root(committed_crd(kind)))]
    assert len(rules) > 10
    assert {rule: outside_core(rule) for rule in rules if outside_core(rule)} == {}
    assert [rule for rule in rules if ".matches(" in rule or "quantity(" in rule or "isURL(" in rule] == []


@pytest.mark.parametrize(("path", "document"), EXAMPLES, ids=[path for path, _ in EXAMPLES])
def test_example_is_valid_with_no_unknown_field(path: str, document: dict[str, Any]) -> None:
    answer = served(document["kind"]).admit_create(document, field_validation="Strict")
    assert isinstance(answer, Admitted), answer
    parsed = MODELS[document["kind"]].parse(document, unknown_fields=False)
    assert parsed.to_dict()["spec"] == read_back(answer)


def test_the_full_examples_show_every_field() -> None:
    for kind in MODELS:
        missing = list(_unset(root(committed_crd(kind))["properties"]["spec"], example("full", kind)["spec"], "spec"))
        assert missing == []


def _unset(schema: Any, value: Any, path: str) -> Any:
    """Fields that an example leaves out, but for the other members of a union and vLLM's own settings."""
    if isinstance(value, list) and "items" in schema:
        for item in value:
            yield from _unset(schema["items"], item, f"{path}[]")
    if not isinstance(value, dict) or "properties" not in schema:
        return
    rules = " ".join(rule["rule"] for rule in schema.get("x-kubernetes-validations", []))
    for name, child in schema["properties"].items():
        if name in value:
            yield from _unset(child, value[name], f"{path}.{name}")
        elif f"has(self.{name})" not in rules and f"{path}.{name}" not in ELSEWHERE:
            yield f"{path}.{name}"


# Optional parts of repeated types, shown at another place of the same example.
ELSEWHERE = {
    "spec.adapters[].policy",
    "spec.adapters[].source.training.digest",
    "spec.adapters[].source.training.namespace",
    *(
        f"spec.{place}.s3.{name}"
        for place in ("output",)
        for name in ("endpointURL", "region", "addressingStyle", "caBundleConfigMapRef")
    ),
    *(f"spec.pod.tolerations[].{name}" for name in ("value", "tolerationSeconds")),
    "spec.pod.resources.limits",
    *(
        f"spec.pod.{name}"
        for name in (
            "gpuResourceName", "gpuMemory", "nodeSelector", "serviceAccountName", "priorityClassName",
            "runtimeClassName", "labels", "annotations", "env", "sharedMemory", "image",
        )
    ),
}  # fmt: skip


def test_the_table_of_bad_manifests_is_long_enough_and_has_no_twins() -> None:
    names = [(kind, case["name"]) for kind, case in BAD]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("kind", "case"), BAD, ids=[f"{kind}: {case['name']}" for kind, case in BAD])
def test_bad_manifest_gets_its_field_and_message(kind: str, case: dict[str, Any]) -> None:
    document = changed(example("minimal", kind), case.get("set", {}), tuple(case.get("remove", ())))
    strict = case.get("strict", False)
    answer = served(kind).admit_create(document, field_validation="Strict" if strict else "Ignore")
    assert isinstance(answer, Refused)
    if strict:
        assert f'{case["message"]} "{case["field"]}"' in answer.status["message"]
    else:
        assert any(field == case["field"] and case["message"] in text for field, text in words(answer)), words(answer)
    with pytest.raises(InvalidResourceError) as caught:
        MODELS[kind].parse(document, unknown_fields=not strict)
    wanted = case.get("parsed", case["field"])
    assert wanted in [problem.field for problem in caught.value.problems]


@pytest.mark.parametrize("case", TABLE["updates"], ids=lambda case: case["name"])
def test_immutable_field_is_kept_by_the_server(case: dict[str, Any]) -> None:
    kind = KINDS[case["kind"]]
    stored = served(kind).admit_create(example("minimal", kind))
    assert isinstance(stored, Admitted)
    answer = served(kind).admit_update(stored.object, changed(stored.object, case["set"]))
    assert isinstance(answer, Refused)
    assert any(field == case["field"] and case["message"] in text for field, text in words(answer)), words(answer)
    assert isinstance(served(kind).admit_update(stored.object, stored.object), Admitted)


QUEUE_DEPTH = {"name": "q", "type": "QueueDepth", "target": 1}
CHOICES = [
    (
        "AdapterTraining",
        {"spec.evaluation": {}},
        {"spec.evaluation": {"holdout": {"source": {"s3": {"uri": "s3://data/e"}}}}},
    ),
    ("AdapterTraining", {}, {"spec.method": {"type": "IA3"}}),
    ("AdapterTraining", {}, {"spec.method": {"type": "Bottleneck", "bottleneck": {"size": 8}}}),
    ("AdapterTraining", {}, {"spec.quantization": {"type": "None"}}),
    ("AdapterTraining", {}, {"spec.objective": {"type": "DirectPreferenceOptimization"}}),
    ("AdapterDeployment", {}, {"spec.quantization": {"type": "NF4"}}),
    (
        "AdapterDeployment",
        {},
        {"spec.autoscaling": {"maxReplicas": 2, "metrics": [QUEUE_DEPTH]}},
    ),
]


@pytest.mark.parametrize(("kind", "before", "after"), CHOICES, ids=lambda value: str(value)[:60])
def test_another_choice_can_be_merged_over_stored_defaults(
    kind: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """What the server filled in has no owner: no apply takes it away, so it must not stand in the way."""
    stored = served(kind).admit_create(changed(example("minimal", kind), before))
    assert isinstance(stored, Admitted)
    merged = changed(stored.object, {})
    for dotted, value in after.items():
        _merge(merged, dotted.split("."), value)
    assert isinstance(served(kind).admit_update(stored.object, merged), Admitted)


def _merge(target: dict[str, Any], path: list[str], value: Any) -> None:
    """A JSON merge patch, as kubectl sends for custom resources."""
    name, *rest = path
    if rest:
        _merge(target.setdefault(name, {}), rest, value)
    elif isinstance(value, dict):
        for key, child in value.items():
            _merge(target.setdefault(name, {}), [key], child)
    else:
        target[name] = value


@pytest.mark.parametrize("kind", MODELS)
@settings(max_examples=400)
@given(data=st.data())
def test_schema_and_models_give_the_same_verdict(kind: str, data: st.DataObject) -> None:
    """Accepted or refused alike; and what is accepted is read with the very defaults that the server fills in."""
    _compare_verdicts(kind, data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
@settings(max_examples=4000)
@given(data=st.data())
def test_schema_and_models_give_the_same_verdict_on_many(kind: str, data: st.DataObject) -> None:
    _compare_verdicts(kind, data)


def _compare_verdicts(kind: str, data: st.DataObject) -> None:
    seeds = [document for _, document in EXAMPLES if document["kind"] == kind]
    document = data.draw(mutated(seeds, root(committed_crd(kind))))
    answer = served(kind).admit_create(document)
    parsed = _parsed(kind, document)
    event("refused" if parsed is None else "accepted")
    assert (parsed is None) == isinstance(answer, Refused), getattr(answer, "status", "only the models refuse")
    if parsed is not None and isinstance(answer, Admitted):
        assert parsed.to_dict()["spec"] == read_back(answer)


def _parsed(kind: str, document: dict[str, Any], *, unknown_fields: bool = True) -> Resource | None:
    try:
        return MODELS[kind].parse(document, unknown_fields=unknown_fields)
    except InvalidResourceError:
        return None


@pytest.mark.parametrize("kind", MODELS)
@given(data=st.data())
def test_unknown_fields_get_the_same_verdict(kind: str, data: st.DataObject) -> None:
    """`kubectl apply` validates strictly; so does the command line."""
    seeds = [document for _, document in EXAMPLES if document["kind"] == kind]
    document = data.draw(mutated(seeds, root(committed_crd(kind)), limit=2))
    answer = served(kind).admit_create(document, field_validation="Strict")
    refused = _parsed(kind, document, unknown_fields=False) is None
    assert refused == isinstance(answer, Refused), getattr(answer, "status", "only the models refuse")
