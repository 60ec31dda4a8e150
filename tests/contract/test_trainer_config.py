"""What a run's configuration may say."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapter_contract import (
    IA3,
    InvalidDocument,
    LoRA,
    S3Source,
    StoreIdentity,
    TrainerConfig,
    as_decimal,
    as_float,
)

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"
FULL = (GOLDEN / "trainer_config.full.json").read_bytes()


def changed(path, value):
    """The full configuration with one member replaced, or removed by None."""
    document = json.loads(FULL)
    *parents, last = path.split(".")
    node = document
    for name in parents:
        node = node[name]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return json.dumps(document)


def test_decimals_are_read_where_they_are_needed():
    config = TrainerConfig.from_json(FULL)
    assert config.hyperparameters.learning_rate == "2e-4"
    assert as_float(config.hyperparameters.learning_rate) == 0.0002
    assert config.evaluation is not None
    assert config.evaluation.holdout.type == "Percent"
    assert as_decimal(config.evaluation.holdout.percent) == 5


def test_unions_are_read_as_their_member():
    config = TrainerConfig.from_json(FULL)
    assert isinstance(config.method, LoRA)
    assert isinstance(config.dataset.source, S3Source)
    minimal = TrainerConfig.from_json((GOLDEN / "trainer_config.minimal.json").read_bytes())
    assert minimal.method == IA3()


def test_nothing_of_one_attempt_stands_in_it():
    names = set()

    def collect(node):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            names.add(str(key).lower())
            if isinstance(value, dict | list):
                collect(value)

    collect(json.loads(FULL))
    assert not {name for name in names if "attempt" in name or "pod" in name or "node" in name}


def test_credentials_are_paths_only():
    config = TrainerConfig.from_json(FULL)
    assert config.output.location.credentials_directory == "/var/run/adapters/output-credentials"
    fields = set(type(config.output.location).model_fields)
    assert fields == {
        "uri", "endpoint_url", "region", "addressing_style", "credentials_directory", "ca_bundle_file"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("run", None, "run"),
        ("run.number", 0, "run.number"),
        ("run.specHash", "abc", "run.specHash"),
        ("training.uid", "a/b", "training.uid"),
        ("training.name", "Support", "training.name"),
        ("baseModel.name", "a model", "baseModel.name"),
        ("baseModel.source.type", "NFS", "baseModel.source"),
        ("baseModel.source.path", "mnt/base", "baseModel.source.path"),
        ("baseModel.identity.value", "12fd25f7", "baseModel.identity.value"),
        ("method.type", "QLoRA", "method"),
        ("method.rank", 0, "method.rank"),
        ("method.rank", 16.0, "method.rank"),
        ("method.dropout", 0.05, "method.dropout"),
        ("method.targetModules", [], "method.targetModules"),
        ("method.targetModules", ["q proj"], "method.targetModules[0]"),
        ("quantization.type", "nf4", "quantization.type"),
        ("objective.lossOn", "Prompt", "objective.lossOn"),
        ("hyperparameters.learningRate", 2e-4, "hyperparameters.learningRate"),
        ("hyperparameters.learningRate", "fast", "hyperparameters.learningRate"),
        ("hyperparameters.seed", None, "hyperparameters.seed"),
        ("hyperparameters.seed", 2**53, "hyperparameters.seed"),
        ("dataset.format", "CSV", "dataset.format"),
        ("dataset.columns", [{"name": "prompt", "from": "a"}] * 2, "dataset"),
        ("dataset.columns", [{"name": "answer", "from": "a"}], "dataset.columns[0].name"),
        ("evaluation.metrics", [], "evaluation.metrics"),
        ("evaluation.metrics", ["Accuracy"], "evaluation.metrics[0]"),
        ("evaluation.holdout.type", "Half", "evaluation.holdout"),
        ("initializeFrom.location.uri", "s3://b/../c", "initializeFrom.location.uri"),
        ("output.location.credentialsDirectory", "secret", "output.location.credentialsDirectory"),
        ("preflight.mode", "Strict", "preflight.mode"),
        ("gpuMemoryBytes", "24Gi", "gpuMemoryBytes"),
        ("reuse", True, "reuse"),
    ],
)
def test_what_is_wrong_is_named(path, value, field):
    with pytest.raises(InvalidDocument) as caught:
        TrainerConfig.from_json(changed(path, value))
    assert [problem.field for problem in caught.value.problems] == [field]


def test_preference_optimization_needs_lora():
    document = json.loads((GOLDEN / "trainer_config.preference.json").read_bytes())
    document["method"] = {"type": "PrefixTuning", "virtualTokens": 20}
    with pytest.raises(InvalidDocument, match="needs method LoRA"):
        TrainerConfig.from_object(document)


def test_preference_accuracy_needs_preference_optimization():
    with pytest.raises(InvalidDocument, match="PreferenceAccuracy needs the objective"):
        TrainerConfig.from_json(changed("evaluation.metrics", ["PreferenceAccuracy"]))


@pytest.mark.parametrize(
    ("kind", "value"), [("ImageDigest", "a" * 40), ("HubCommit", "sha256:" + "a" * 64), ("HubCommit", "main")]
)
def test_an_identity_is_immutable(kind, value):
    with pytest.raises(ValidationError):
        StoreIdentity(type=kind, value=value)
