"""specHash: the same training has the same digest, however it is written and whatever reads it."""

import json
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_operator.api.schema.hashing import HashRules, derive_hash_rules, plain_decimal
from adapter_operator.api.v1alpha1.identity import (
    HASH_RULES,
    HASH_VERSION,
    UnknownHashVersionError,
    learning_rate,
    recipe_hash,
    spec_hash,
)
from adapter_operator.api.v1alpha1.training import AdapterTraining, TrainingSpec
from adapter_testing.manifests import changed, example

pytestmark = pytest.mark.unit

GOLDEN = json.loads((Path(__file__).parent / "golden/spec_hashes.json").read_text(encoding="utf-8"))
RULES = HASH_RULES[HASH_VERSION]


def spec_of(put: dict[str, Any] | None = None, remove: tuple[str, ...] = (), base: str = "minimal") -> TrainingSpec:
    return AdapterTraining.parse(changed(example(base, "AdapterTraining"), put or {}, remove)).spec


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_digests_of_earlier_releases_still_hold(case: dict[str, Any]) -> None:
    spec = TrainingSpec.model_validate(case["spec"])
    assert spec_hash(spec, case["hashVersion"]) == case["specHash"]
    assert recipe_hash(spec, case["hashVersion"]) == case["recipeHash"]


def test_released_table_only_grows() -> None:
    """What was released under a version is neither changed nor removed; new fields are appended."""
    for name, released in GOLDEN["tables"].items():
        now = HASH_RULES[int(name)]
        for path, default in released["defaults"].items():
            assert now.defaults[path] == default, path
        known = set(released["paths"])
        assert set(released["identity"]) <= now.identity
        for name_of_set in ("sets", "decimals", "locations"):
            assert getattr(now, name_of_set) & known == set(released[name_of_set]), name_of_set
        assert {path: key for path, key in now.named_lists.items() if path in known} == released["namedLists"]


def test_table_holds_every_identity_field_of_the_models() -> None:
    """A new identity field with a default must be appended to the table, or it would start every run again."""
    assert derive_hash_rules(TrainingSpec, HASH_VERSION) == RULES


@pytest.mark.parametrize(
    "put",
    [
        {"spec.method": {"type": "LoRA"}},
        {"spec.method": {"type": "LoRA", "lora": {}}},
        {"spec.method": {"lora": {"rank": 16, "targetModules": ["all-linear"]}}},
        {"spec.hyperparameters": {}},
        {"spec.hyperparameters": {"learningRate": "2e-4"}},
        {"spec.hyperparameters": {"learningRate": "0.00020", "epochs": "3.0", "weightDecay": "0.0"}},
        {"spec.quantization": {"type": "NF4", "doubleQuantization": "Enabled"}},
        {"spec.objective": {"type": "SupervisedFineTuning"}},
        {"spec.dataset.unusableExamples": {"maxPercent": "5.0"}},
        {"spec.method": {"lora": {"targetModules": ["all-linear", "all-linear"]}}},
    ],
    ids=lambda put: json.dumps(put)[:60],
)
def test_writing_down_a_default_changes_nothing(put: dict[str, Any]) -> None:
    assert spec_hash(spec_of(put)) == spec_hash(spec_of())


@pytest.mark.parametrize(
    "put",
    [
        {"spec.promotion": {"gates": []}},
        {"spec.checkpoint": {"intervalSeconds": 60}},
        {"spec.output": {"keepVersions": 3}},
        {"spec.preflight": {"mode": "Warn"}},
        {"spec.sharing": {"namespaces": ["team-b"]}},
        {"spec.queue": {"name": "team-a"}},
        {"spec.suspend": True},
        {"spec.restartToken": "2"},
        {"spec.retries": {"failure": 5}},
        {"spec.deadlineSeconds": 3600},
        {"spec.jobTTLSecondsAfterFinished": 60},
        {"spec.pod": {"gpus": 2}},
    ],
    ids=lambda put: next(iter(put)),
)
def test_fields_beside_the_identity_start_nothing(put: dict[str, Any]) -> None:
    assert spec_hash(spec_of(put)) == spec_hash(spec_of())
    assert recipe_hash(spec_of(put)) == recipe_hash(spec_of())


@pytest.mark.parametrize(
    "put",
    [
        {"spec.baseModel.name": "other/base"},
        {"spec.baseModel.revision": "abc"},
        {"spec.dataset.format": "Messages"},
        {"spec.dataset.columns": [{"name": "prompt", "from": "q"}]},
        {"spec.dataset.unusableExamples": {"action": "Fail"}},
        {"spec.method": {"lora": {"rank": 8}}},
        {"spec.method": {"type": "IA3"}},
        {"spec.quantization": {"type": "None"}},
        {"spec.objective": {"lossOn": "All"}},
        {"spec.hyperparameters": {"learningRate": "1e-4"}},
        {"spec.hyperparameters": {"seed": 1}},
        {"spec.hyperparameters": {"maxSteps": 100}},
        {"spec.evaluation": {}},
        {"spec.evaluation": {"selectBest": {}}},
        {"spec.evaluation": {"earlyStopping": {}}},
        {"spec.evaluation": {"holdout": {"percent": "10"}}},
    ],
    ids=lambda put: json.dumps(put)[:60],
)
def test_every_identity_field_starts_a_run(put: dict[str, Any]) -> None:
    assert spec_hash(spec_of(put)) != spec_hash(spec_of())
    assert recipe_hash(spec_of(put)) != recipe_hash(spec_of())


@pytest.mark.parametrize(
    "put",
    [
        {"spec.baseModel.source": {"image": {"reference": "models/base:1"}}},
        {"spec.dataset.source": {"configMap": {"name": "a", "key": "b"}}},
        {"spec.dataset.source.s3.credentialsSecretRef": {"name": "other"}},
        {"spec.dataset.digest": f"sha256:{'a' * 64}"},
        {"spec.initializeFrom": {"training": {"name": "other"}}},
    ],
    ids=lambda put: next(iter(put)),
)
def test_a_moved_source_is_another_spec_but_the_same_recipe(put: dict[str, Any]) -> None:
    assert spec_hash(spec_of(put)) != spec_hash(spec_of())
    assert recipe_hash(spec_of(put)) == recipe_hash(spec_of())


def test_evaluation_off_differs_from_evaluation_by_default() -> None:
    on = {"holdout": {"percent": "5"}, "metrics": ["Loss"]}
    assert spec_hash(spec_of({"spec.evaluation": on})) == spec_hash(spec_of({"spec.evaluation": {}}))
    assert spec_hash(spec_of({"spec.evaluation": {}})) != spec_hash(spec_of())


@pytest.mark.parametrize(
    ("chosen", "ignored"),
    [
        (
            {"spec.quantization": {"type": "None"}},
            {"spec.quantization": {"type": "None", "doubleQuantization": "Disabled"}},
        ),
        (
            {"spec.objective": {"type": "DirectPreferenceOptimization"}},
            {"spec.objective": {"type": "DirectPreferenceOptimization", "lossOn": "All"}},
        ),
        (
            {"spec.dataset.source": {"huggingFace": {"repository": "a/b"}}},
            {"spec.dataset.source": {"huggingFace": {"repository": "a/b", "revision": "main", "split": "train"}}},
        ),
    ],
)
def test_what_is_ignored_or_was_meant_anyway_changes_nothing(chosen: dict[str, Any], ignored: dict[str, Any]) -> None:
    assert spec_hash(spec_of(chosen)) == spec_hash(spec_of(ignored))


def test_order_of_sets_and_named_lists_means_nothing() -> None:
    one = {
        "spec.method": {"lora": {"targetModules": ["v_proj", "q_proj"]}},
        "spec.dataset.columns": [{"name": "prompt", "from": "a"}, {"name": "completion", "from": "b"}],
        "spec.evaluation": {"metrics": ["RougeL", "Loss"]},
    }
    other = {
        "spec.method": {"lora": {"targetModules": ["q_proj", "v_proj"]}},
        "spec.dataset.columns": [{"name": "completion", "from": "b"}, {"name": "prompt", "from": "a"}],
        "spec.evaluation": {"metrics": ["Loss", "RougeL"]},
    }
    assert spec_hash(spec_of(one)) == spec_hash(spec_of(other))


def _shuffled(value: Any, draw: Any) -> Any:
    if isinstance(value, dict):
        names = draw(st.permutations(sorted(value)))
        return {name: _shuffled(value[name], draw) for name in names}
    return value


@given(st.data())
def test_order_of_keys_nulls_and_defaults_never_change_the_digest(data: st.DataObject) -> None:
    written = example("full", "AdapterTraining")["spec"]
    expected = spec_hash(TrainingSpec.model_validate(written))
    spelled_out = TrainingSpec.model_validate(written).to_dict()
    shuffled = _shuffled(data.draw(st.sampled_from([written, spelled_out])), data.draw)
    assert spec_hash(TrainingSpec.model_validate(shuffled)) == expected


@given(
    parent=st.sampled_from(["", "hyperparameters", "method", "method.lora", "dataset", "quantization"]),
    name=st.from_regex(r"new[A-Z][a-z]{2,8}", fullmatch=True),
    default=st.one_of(st.text(max_size=8), st.integers(0, 100), st.lists(st.text(max_size=4), max_size=3)),
    wanted=st.sampled_from(["minimal", "full"]),
)
def test_one_more_defaulted_identity_field_never_changes_a_digest(
    parent: str, name: str, default: Any, wanted: str
) -> None:
    """A newer CRD fills its new field's default into a stored object; the old version's digest must not move."""
    path = f"{parent}.{name}" if parent else name
    grown = HashRules(
        **(
            vars(RULES)
            | {"defaults": {**RULES.defaults, path: default}, "identity": RULES.identity | {path.partition(".")[0]}}
        )
    )
    spec = TrainingSpec.model_validate(example(wanted, "AdapterTraining")["spec"]).to_dict()
    read_through_new_crd = deepcopy(spec)
    target = read_through_new_crd
    for part in filter(None, parent.split(".")):
        target = target.setdefault(part, {})
    target[name] = default
    assert grown.digest(read_through_new_crd) == RULES.digest(spec)
    assert grown.digest(read_through_new_crd, recipe=True) == RULES.digest(spec, recipe=True)


@given(st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False, places=6), st.integers(0, 6))
def test_equal_decimals_have_one_spelling(number: Decimal, zeros: int) -> None:
    plain = plain_decimal(str(number))
    assert Decimal(plain) == number
    padded = f"{number:f}" + ("0" * zeros if "." in f"{number:f}" else "")
    assert plain_decimal(padded) == plain
    assert plain_decimal(f"{number:E}") == plain


def test_unknown_hash_version_says_what_to_upgrade() -> None:
    with pytest.raises(
        UnknownHashVersionError, match=r"hashVersion 99 is unknown to this operator .*: upgrade the operator"
    ):
        spec_hash(spec_of(), 99)


@pytest.mark.parametrize(
    ("put", "rate"),
    [
        ({}, "2e-4"),
        ({"spec.method": {"type": "IA3"}}, "8e-3"),
        ({"spec.method": {"type": "PromptTuning"}}, "3e-2"),
        ({"spec.method": {"type": "PrefixTuning"}}, "1e-2"),
        ({"spec.method": {"type": "Bottleneck"}}, "1e-4"),
        ({"spec.objective": {"type": "DirectPreferenceOptimization"}}, "5e-6"),
        ({"spec.hyperparameters": {"learningRate": "1e-3"}}, "1e-3"),
    ],
)
def test_learning_rate_follows_the_method_unless_given(put: dict[str, Any], rate: str) -> None:
    assert learning_rate(spec_of(put)) == rate
