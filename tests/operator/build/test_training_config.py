"""The TrainerConfig of a run and its config map."""

from typing import Any

import kubernetes_validate
import pytest

from adapter_contract.digests import sha256_bytes
from adapter_contract.trainer_config import TrainerConfig
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.identity import recipe_hash
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.build.base_model import UnknownBaseModelError
from adapter_operator.build.trainer_config import RunIdentity, config_map, trainer_config
from adapter_operator.build.trainer_inputs import NoOutputError, Parent, resolve_inputs
from adapter_testing.manifests import example
from adapter_testing.training_lab import SETTINGS, digest_of, training_document

pytestmark = pytest.mark.unit

S = digest_of("5")


def parsed(put: dict[str, Any] | None = None) -> AdapterTraining:
    return AdapterTraining.parse(training_document(put))


def built(
    training: AdapterTraining,
    *,
    parent: Parent | None = None,
    settings: OperatorSettings = SETTINGS,
    token: str | None = None,
) -> TrainerConfig:
    run = RunIdentity(number=2, spec_hash=S, hash_version=1, restart_token=token, image="adapter-trainer:1")
    return trainer_config(training, run, resolve_inputs(training, parent, settings), settings)


def test_the_minimal_training_with_every_default_resolved() -> None:
    training = parsed()
    access = {
        "endpointURL": "http://127.0.0.1:8333",
        "addressingStyle": "Auto",
    }
    assert built(training).model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "training": {"cluster": "lab", "namespace": "team-a", "name": "support-bot", "uid": "uid-1"},
        "run": {"number": 2, "specHash": S, "recipeHash": recipe_hash(training.spec), "hashVersion": 1},
        "baseModel": {
            "name": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "revision": "r1",
            "source": {
                "type": "S3",
                "location": access
                | {"uri": "s3://models/smollm2/", "credentialsDirectory": "/adapter/credentials/base-model"},
            },
        },
        "dataset": {
            "source": {
                "type": "S3",
                "location": access
                | {"uri": "s3://datasets/support.jsonl", "credentialsDirectory": "/adapter/credentials/dataset"},
            },
            "format": "Auto",
            "columns": [],
            "unusableExamples": {"action": "Drop", "maxPercent": "5"},
        },
        "method": {
            "type": "LoRA",
            "rank": 16,
            "alpha": 32,
            "dropout": "0.05",
            "targetModules": ["all-linear"],
            "scaling": "Standard",
            "weightDecomposition": "Disabled",
            "initialization": "Default",
        },
        "quantization": {"type": "NF4", "computeType": "BFloat16", "doubleQuantization": "Enabled"},
        "objective": {"type": "SupervisedFineTuning", "lossOn": "Completion"},
        "hyperparameters": {
            "epochs": "3",
            "learningRate": "2e-4",
            "scheduler": "Cosine",
            "warmup": "0.03",
            "batchSize": 16,
            "maxSequenceLength": 1024,
            "packing": "Enabled",
            "seed": 0,
            "optimizer": "AdamW",
            "weightDecay": "0",
            "maxGradientNorm": "1",
        },
        "checkpoint": {"intervalSeconds": 300, "keep": 2},
        "output": {
            "location": access
            | {"uri": "s3://adapters/root/lab/team-a/", "credentialsDirectory": "/adapter/credentials/output"}
        },
        "preflight": {"mode": "Enforce"},
        "lineage": {"image": "adapter-trainer:1", "operatorVersion": "0.1.0"},
        "reuse": "Allowed",
    }


def test_the_full_example_reads_back_as_it_was_written() -> None:
    document = example("full", "AdapterTraining")
    document["metadata"] |= {"uid": "uid-7", "generation": 1}
    training = AdapterTraining.parse(document)
    parent = Parent("support-base", digest_of("e"), "s3://adapters/base/", None)
    config = built(training, parent=parent)
    assert TrainerConfig.from_json(config.to_json()) == config
    assert config.gpu_memory_bytes == 24 * 1024**3
    assert config.base_model.source.type == "Path"
    assert config.base_model.source.path == "/adapter/base-model/smollm2-135m-instruct"
    assert [(column.name, column.source) for column in config.dataset.columns] == [
        ("completion", "answer"),
        ("prompt", "question"),
    ]
    assert config.evaluation is not None
    assert config.evaluation.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "holdout": {"type": "Source", "source": {"type": "Path", "path": "/adapter/evaluation/questions.jsonl"}},
        "intervalSteps": 50,
        "metrics": ["Loss", "RougeL", "TokenAccuracy"],
        "selectBest": {"metric": "Loss"},
        "earlyStopping": {"patience": 3},
    }
    assert config.initialize_from is not None
    assert config.initialize_from.location.uri == "s3://adapters/base/"
    dataset = config.dataset.source
    assert dataset.type == "S3"
    assert dataset.location.ca_bundle_file == "/adapter/certificates/dataset/ca.crt"


@pytest.mark.parametrize("of_spec", [None, "1"])
def test_the_runs_own_restart_token_forbids_reuse_whatever_the_spec_says_by_now(of_spec: str | None) -> None:
    training = parsed({"spec.restartToken": of_spec} if of_spec else {})
    assert built(training, token="1").reuse == "Forbidden"
    assert built(training, token=None).reuse == "Allowed"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ({"type": "IA3"}, {"type": "IA3"}),
        (
            {"type": "IA3", "ia3": {"targetModules": ["k", "down"], "feedforwardModules": ["down"]}},
            {"type": "IA3", "targetModules": ["down", "k"], "feedforwardModules": ["down"]},
        ),
        ({"type": "PromptTuning"}, {"type": "PromptTuning", "virtualTokens": 20}),
        ({"type": "PrefixTuning", "prefixTuning": {"virtualTokens": 4}}, {"type": "PrefixTuning", "virtualTokens": 4}),
        ({"type": "Bottleneck"}, {"type": "Bottleneck", "architecture": "Pfeiffer", "size": 64}),
    ],
)
def test_every_method_has_its_counterpart(method: dict[str, Any], expected: dict[str, Any]) -> None:
    config = built(parsed({"spec.method": method}))
    assert config.method.model_dump(mode="json", by_alias=True, exclude_none=True) == expected


def test_preference_optimization_and_a_share_held_out() -> None:
    config = built(
        parsed(
            {
                "spec.objective": {"type": "DirectPreferenceOptimization", "directPreference": {"beta": "0.2"}},
                "spec.evaluation": {"holdout": {"percent": "10"}},
            }
        )
    )
    assert config.objective.model_dump() == {"type": "DirectPreferenceOptimization", "beta": "0.2"}
    assert config.hyperparameters.learning_rate == "5e-6"
    assert config.evaluation is not None
    assert config.evaluation.holdout.model_dump() == {"type": "Percent", "percent": "10"}
    assert config.evaluation.metrics == ("Loss",)


@pytest.mark.parametrize(
    ("source", "expected", "identity"),
    [
        (
            {"image": {"reference": f"registry/models@{S}"}},
            {"type": "Path", "path": "/adapter/base-model"},
            {"type": "ImageDigest", "value": S},
        ),
        ({"image": {"reference": "registry/models:1"}}, {"type": "Path", "path": "/adapter/base-model"}, None),
        (
            {"huggingFace": {"repository": "a/b", "revision": "0" * 40, "tokenSecretRef": {"name": "hub", "key": "t"}}},
            {
                "type": "HuggingFace",
                "repository": "a/b",
                "revision": "0" * 40,
                "tokenFile": "/adapter/credentials/base-model-token/token",
            },
            None,  # its files' digests are listed there, and a copy elsewhere has them, too
        ),
        (
            {"huggingFace": {"repository": "a/b"}},
            {"type": "HuggingFace", "repository": "a/b", "revision": "main"},
            None,
        ),
        (
            {"persistentVolumeClaim": {"claimName": "models", "path": "a/b/"}},
            {"type": "Path", "path": "/adapter/base-model/a/b"},
            None,
        ),
    ],
)
def test_base_model_sources(source: dict[str, Any], expected: dict[str, Any], identity: dict[str, Any] | None) -> None:
    base = built(parsed({"spec.baseModel": {"name": "acme/base", "source": source}})).base_model
    assert base.source.model_dump(mode="json", by_alias=True, exclude_none=True) == expected
    assert (None if base.identity is None else base.identity.model_dump()) == identity
    assert base.revision is None


def test_the_specs_own_revision_wins_over_the_catalogues() -> None:
    base = {"name": "HuggingFaceTB/SmolLM2-135M-Instruct", "revision": "mine"}
    assert built(parsed({"spec.baseModel": base})).base_model.revision == "mine"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"persistentVolumeClaim": {"claimName": "data"}}, {"type": "Path", "path": "/adapter/dataset"}),
        ({"configMap": {"name": "few", "key": "a.jsonl"}}, {"type": "Path", "path": "/adapter/dataset/a.jsonl"}),
        (
            {"huggingFace": {"repository": "a/b", "subset": "c"}},
            {"type": "HuggingFace", "repository": "a/b", "revision": "main", "subset": "c", "split": "train"},
        ),
    ],
)
def test_dataset_sources(source: dict[str, Any], expected: dict[str, Any]) -> None:
    found = built(parsed({"spec.dataset.source": source})).dataset.source
    assert found.model_dump(mode="json", by_alias=True, exclude_none=True) == expected


def test_a_location_of_its_own_keeps_the_platforms_defaults_for_what_it_leaves_out() -> None:
    output = {"s3": {"uri": "s3://mine/x", "region": "eu-1", "addressingStyle": "Path"}}
    location = built(parsed({"spec.output": output})).output.location
    assert location.model_dump(exclude_none=True) == {
        "uri": "s3://mine/x",
        "endpointURL": "http://127.0.0.1:8333",
        "region": "eu-1",
        "addressingStyle": "Path",
        "credentialsDirectory": "/adapter/credentials/output",
    }


def test_without_any_secret_the_pods_own_identity_is_used() -> None:
    document = SETTINGS.to_dict()
    document["storage"] = {"root": "s3://adapters/"}
    config = built(parsed(), settings=OperatorSettings.read(document))
    assert config.output.location.uri == "s3://adapters/lab/team-a/"
    assert config.output.location.credentials_directory is None


def test_a_source_that_nobody_names() -> None:
    with pytest.raises(UnknownBaseModelError, match="acme/base"):
        built(parsed({"spec.baseModel.name": "acme/base"}))
    document = SETTINGS.to_dict()
    del document["storage"]["root"]
    with pytest.raises(NoOutputError, match=r"storage\.root"):
        built(parsed(), settings=OperatorSettings.read(document))


@pytest.mark.parametrize("field", ["spec.baseModel.source", "spec.dataset.source"])
def test_a_union_without_a_member_is_a_bug_of_the_caller(field: str) -> None:
    training = AdapterTraining.model_validate(training_document({field: {}}), by_alias=True, by_name=False)
    with pytest.raises(ValueError, match="one member"):
        built(training)


def test_the_config_map_is_immutable_and_named_by_its_content() -> None:
    training = parsed()
    config = built(training)
    manifest = config_map(training, config)
    kubernetes_validate.validate(manifest, "1.37", strict=True)
    digest = sha256_bytes(manifest["data"]["trainer-config.json"].encode())
    assert manifest["metadata"]["name"] == f"support-bot-r2-{digest[7:17]}"
    assert manifest["metadata"]["annotations"] == {"adapters.dev/config-digest": digest}
    assert manifest["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "adapter-operator",
        "adapters.dev/training": "support-bot",
        "adapters.dev/training-uid": "uid-1",
        "adapters.dev/run": "2",
    }
    assert manifest["immutable"] is True
    assert TrainerConfig.from_json(manifest["data"]["trainer-config.json"]) == config
    assert config_map(training, built(parsed())) == manifest
    other = config_map(training, built(parsed({"spec.hyperparameters": {"seed": 1}})))
    assert other["metadata"]["name"] != manifest["metadata"]["name"]


def test_sets_in_another_order_give_the_same_bytes() -> None:
    one = {"spec.method": {"lora": {"targetModules": ["q", "k"]}}, "spec.evaluation": {"metrics": ["Loss", "RougeL"]}}
    two = {"spec.method": {"lora": {"targetModules": ["k", "q"]}}, "spec.evaluation": {"metrics": ["RougeL", "Loss"]}}
    assert built(parsed(one)).to_json() == built(parsed(two)).to_json()
