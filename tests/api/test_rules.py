"""Every CEL rule, run by a CEL engine: on a manifest that it refuses, and on one that it lets pass."""

from typing import Any

import pytest
import yaml

from adapter_testing.api_lint import root
from adapter_testing.cel_rules import Judged, every_rule, judged
from adapter_testing.manifests import MODELS, REPOSITORY, changed, committed_crd, example, examples

pytestmark = pytest.mark.unit

TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (REPOSITORY / "tests/api/bad_manifests.yaml").read_text(encoding="utf-8")
)
KINDS = {"training": "AdapterTraining", "deployment": "AdapterDeployment"}

# Valid manifests that reach the rules which no example reaches.
FURTHER_VALID = {
    "AdapterTraining": [
        {"spec.method": {"type": "IA3", "ia3": {"targetModules": ["k", "d"], "feedforwardModules": ["d"]}}},
        {"spec.method": {"type": "PromptTuning", "promptTuning": {"initialText": "Answer as support."}}},
        {"spec.method": {"type": "PrefixTuning", "prefixTuning": {}}},
        {"spec.method": {"type": "Bottleneck", "bottleneck": {"architecture": "Houlsby"}}},
        {"spec.evaluation": {"metrics": ["RougeL"], "selectBest": {"metric": "RougeL"}, "earlyStopping": {}}},
    ],
    "AdapterDeployment": [
        {"spec.adapterSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
        {"spec.rollout": {"maxSurge": 0, "maxUnavailable": 1}},
    ],
}


def defaulted(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """What a rule sees on the server: defaults filled in."""
    return MODELS[kind].parse(document).to_dict()


def spec_of(kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = root(committed_crd(kind))["properties"]["spec"]
    return schema


def rules_on(kind: str, document: dict[str, Any], old: dict[str, Any] | None = None) -> list[Judged]:
    before = defaulted(kind, old)["spec"] if old else None
    return list(judged(spec_of(kind), defaulted(kind, document)["spec"], before, "spec", "spec"))


def valid_documents(kind: str) -> list[dict[str, Any]]:
    return [
        *(document for _, document in examples() if document["kind"] == kind),
        *(changed(example("minimal", kind), put) for put in FURTHER_VALID[kind]),
    ]


@pytest.mark.parametrize("kind", MODELS)
def test_valid_manifests_pass_every_rule_and_reach_them_all(kind: str) -> None:
    reached = set()
    for document in valid_documents(kind):
        for verdict in rules_on(kind, document, old=document):
            assert verdict.holds, verdict
            reached.add((verdict.rule_at, verdict.rule))
    everything = set(every_rule(spec_of(kind), "spec"))
    # A union's rule is one and the same at each place where the union stands.
    assert {rule for _, rule in everything} == {rule for _, rule in reached}


def test_every_rule_refuses_a_manifest_of_the_table() -> None:
    refused = set()
    for section, kind in KINDS.items():
        for case in TABLE[section]:
            document = changed(example("minimal", kind), case.get("set", {}), tuple(case.get("remove", ())))
            # The models judge rules after structure, as the server does; fill defaults in without judging rules.
            model = MODELS[kind]
            try:
                full = model.model_validate(document).to_dict()
            except ValueError:
                continue
            refused |= {
                verdict.rule
                for verdict in judged(spec_of(kind), full["spec"], None, "spec", "spec")
                if not verdict.holds
            }
    for case in TABLE["updates"]:
        kind = KINDS[case["kind"]]
        old = example("minimal", kind)
        refused |= {verdict.rule for verdict in rules_on(kind, changed(old, case["set"]), old) if not verdict.holds}
    rules = {rule for kind in MODELS for _, rule in every_rule(spec_of(kind), "spec")}
    assert rules - refused == set()


@pytest.mark.parametrize("case", TABLE["updates"], ids=lambda case: case["name"])
def test_immutable_fields_stay(case: dict[str, Any]) -> None:
    kind = KINDS[case["kind"]]
    old = example("minimal", kind)
    broken = [verdict for verdict in rules_on(kind, changed(old, case["set"]), old) if not verdict.holds]
    assert [(verdict.field, case["message"] in verdict.message) for verdict in broken] == [(case["field"], True)]
