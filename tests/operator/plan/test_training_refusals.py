"""What is refused before anything starts: the field, and what to do, in the message."""

from collections.abc import Mapping
from typing import Any

import pytest

from adapter_contract import HubModelSource, SourceHoldout, TrainerConfig
from adapter_operator.api.schema.model import InvalidResourceError
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.plan.invalid import plan_invalid
from adapter_testing.training_lab import SETTINGS, START, TrainingLab, digest_of, training_document

pytestmark = pytest.mark.unit

UNSUPPORTED: dict[str, Mapping[str, Any]] = {
    "spec.queue": {"spec.queue": {"name": "team-a"}},
    "spec.promotion.gates": {
        "spec.evaluation": {},
        "spec.promotion": {
            "gates": [
                {
                    "name": "good",
                    "type": "Threshold",
                    "metric": "Loss",
                    "threshold": {"operator": "LessThan", "value": "1.5"},
                }
            ]
        },
    },
    "spec.output.keepVersions": {"spec.output": {"keepVersions": 3}},
    "spec.output.deletionPolicy": {"spec.output": {"deletionPolicy": "Delete"}},
}


@pytest.mark.parametrize("field", UNSUPPORTED)
def test_what_this_release_cannot_carry_out_is_refused_by_its_field(field: str) -> None:
    lab = TrainingLab(UNSUPPORTED[field])
    lab.reconcile()
    assert lab.reason == "InvalidSpec"
    assert lab.message.startswith(f"{field}: ")
    assert (lab.posted, lab.config_maps) == ([], {})
    assert [(event.type, event.reason) for event in lab.events] == [("Warning", "InvalidSpec")]
    assert lab.requeue_after is None


def test_all_refused_fields_are_named_together() -> None:
    lab = TrainingLab(UNSUPPORTED["spec.queue"] | UNSUPPORTED["spec.output.keepVersions"])
    lab.reconcile()
    assert "spec.queue: " in lab.message
    assert "; spec.output.keepVersions: " in lab.message


HUB = {"huggingFace": {"repository": "a/b", "revision": "v1", "tokenSecretRef": {"name": "hub", "key": "t"}}}


@pytest.mark.parametrize(
    "change",
    [
        {"spec.method": {"type": "IA3"}},
        {"spec.method": {"type": "PromptTuning"}},
        {"spec.method": {"type": "PrefixTuning"}},
        {"spec.method": {"type": "Bottleneck"}},
        {"spec.method": {"lora": {"initialization": "PiSSA"}}},
        {"spec.method": {"lora": {"weightDecomposition": "Enabled"}}},
        {"spec.objective": {"type": "DirectPreferenceOptimization"}},
        {"spec.baseModel.source": HUB},
        {"spec.dataset.source": {"huggingFace": {"repository": "a/b", "subset": "en", "split": "train"}}},
        {"spec.evaluation": {"holdout": {"source": {"huggingFace": {"repository": "a/b", "split": "test"}}}}},
    ],
)
def test_what_the_trainer_can_do_starts(change: Mapping[str, Any]) -> None:
    lab = TrainingLab(change)
    lab.reconcile()
    assert lab.reason == "Starting"
    assert lab.posted == ["support-bot-r1-a1"]


def test_sources_of_the_hub_reach_the_trainer_whole_and_their_tokens_as_files() -> None:
    token = {"tokenSecretRef": {"name": "hub", "key": "t"}}
    data = {"huggingFace": {"repository": "a/data", "revision": "v2", "subset": "en", "split": "train"} | token}
    held = {"huggingFace": {"repository": "a/held", "split": "test"} | token}
    lab = TrainingLab(
        {
            "spec.baseModel.source": HUB,
            "spec.dataset.source": data,
            "spec.evaluation": {"holdout": {"source": held}},
        }
    )
    lab.reconcile()
    (config_map,) = lab.config_maps.values()
    config = TrainerConfig.from_json(next(iter(config_map["data"].values())))
    files = {f"/adapter/credentials/{role}-token/token" for role in ("base-model", "dataset", "evaluation")}
    assert config.evaluation is not None
    assert isinstance(config.evaluation.holdout, SourceHoldout)
    sources = [config.base_model.source, config.dataset.source, config.evaluation.holdout.source]
    assert {source.token_file for source in sources if isinstance(source, HubModelSource)} == files
    assert config.dataset.source.model_dump(exclude={"token_file"}) == {
        "type": "HuggingFace",
        "repository": "a/data",
        "revision": "v2",
        "subset": "en",
        "split": "train",
    }
    pod = lab.jobs["support-bot-r1-a1"]["spec"]["template"]["spec"]
    mounts = {one["mountPath"]: one["name"] for one in pod["containers"][0]["volumeMounts"]}
    for file in files:
        volume = next(one for one in pod["volumes"] if one["name"] == mounts[file.removesuffix("/token")])
        assert volume["secret"] == {"secretName": "hub", "items": [{"key": "t", "path": "token"}]}


def test_a_refused_edit_lets_what_runs_go_on_and_is_harvested() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.edit({"queue": {"name": "team-a"}})
    lab.reconcile()
    assert lab.reason == "InvalidSpec"
    assert lab.live_jobs() == ["support-bot-r1-a1"]
    lab.report(step=3)
    lab.reconcile()
    assert lab.status["progress"]["step"] == 3
    lab.succeed(digest_of("a"))
    lab.reconcile()
    assert lab.reason == "InvalidSpec"
    assert lab.status["adapter"]["version"] == 1
    lab.edit(remove=("queue",))
    lab.reconcile()
    assert lab.reason == "Succeeded"


@pytest.mark.parametrize("has_pod", [False, True])
def test_a_refused_edit_does_not_stop_what_is_about_to_run_since_nothing_would_replace_it(*, has_pod: bool) -> None:
    lab = TrainingLab()
    lab.reconcile()
    if has_pod:
        lab.add_pod(scheduled=False)
    lab.edit({"queue": {"name": "team-a"}})
    lab.reconcile()
    assert lab.reason == "InvalidSpec"
    assert lab.live_jobs() == ["support-bot-r1-a1"]
    assert "deletionTimestamp" not in lab.jobs["support-bot-r1-a1"]["metadata"]


def test_a_refused_edit_of_the_identity_stops_what_is_no_longer_wanted_and_starts_nothing() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.edit({"method": {"type": "IA3"}, "queue": {"name": "team-a"}})
    lab.reconcile()
    assert lab.reason == "InvalidSpec"
    lab.end_pod(75)
    lab.reconcile()
    assert lab.jobs == {}
    assert lab.posted == ["support-bot-r1-a1"]


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"image": "evil:1"}, "spec.pod.image: the platform does not permit evil:1"),
        ({"serviceAccountName": "admin"}, "spec.pod.serviceAccountName: the platform does not permit admin"),
        ({"env": [{"name": "HTTPS_PROXY", "value": "x"}]}, "spec.pod.env[HTTPS_PROXY]: the platform does not permit"),
        ({"env": [{"name": "ADAPTER_MOUNTS", "value": "/"}]}, "spec.pod.env[ADAPTER_MOUNTS]: the operator sets this"),
    ],
)
def test_what_the_platform_does_not_permit(pod: dict[str, Any], words: str) -> None:
    lab = TrainingLab({"spec.pod": pod})
    lab.reconcile()
    assert lab.reason == "NotPermitted"
    assert words in lab.message
    assert lab.posted == []


def test_what_the_platform_permits_is_used() -> None:
    permitted = {
        "images": ["registry.example.com/team-*"],
        "serviceAccountNames": ["trainer"],
        "environmentVariables": ["*_PROXY"],
    }
    settings = OperatorSettings.read(SETTINGS.to_dict() | {"permitted": permitted})
    pod = {
        "image": "registry.example.com/team-a/trainer:1",
        "serviceAccountName": "trainer",
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
    }
    lab = TrainingLab({"spec.pod": pod}, settings=settings)
    lab.reconcile()
    spec = lab.jobs["support-bot-r1-a1"]["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "trainer"
    assert spec["containers"][0]["image"] == "registry.example.com/team-a/trainer:1"
    assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in spec["containers"][0]["env"]
    assert lab.status["resolved"]["image"] == "registry.example.com/team-a/trainer:1"


def test_an_unknown_base_model_names_the_three_ways_out() -> None:
    lab = TrainingLab({"spec.baseModel.name": "acme/unknown"})
    lab.reconcile()
    assert lab.reason == "UnknownBaseModel"
    for word in ("acme/unknown", "spec.baseModel.source", "spec.baseModel.name", "baseModels"):
        assert word in lab.message
    lab.edit({"baseModel": {"name": "acme/unknown", "source": {"persistentVolumeClaim": {"claimName": "models"}}}})
    lab.reconcile()
    assert lab.reason == "Starting"


def without_root() -> OperatorSettings:
    document = SETTINGS.to_dict()
    del document["storage"]["root"]
    return OperatorSettings.read(document)


def test_an_output_that_nobody_names() -> None:
    lab = TrainingLab(settings=without_root())
    lab.reconcile()
    assert lab.reason == "InvalidSpec"
    assert "set spec.output.s3.uri" in lab.message
    lab.edit({"output": {"s3": {"uri": "s3://mine/x/"}}})
    lab.reconcile()
    assert lab.status["resolved"]["storage"]["uri"] == "s3://mine/x/"


def test_an_output_that_cannot_be_recorded() -> None:
    lab = TrainingLab({"spec.output": {"s3": {"uri": "s3://mine/größe/"}}})
    lab.reconcile()
    assert lab.reason == "InvalidSpec"
    assert lab.message.startswith("spec.output.s3.uri: must be ASCII")


def test_a_catalogue_that_takes_the_base_model_from_the_hub() -> None:
    entry = {"name": "HuggingFaceTB/SmolLM2-135M-Instruct", "source": {"huggingFace": {"repository": "a/b"}}}
    lab = TrainingLab(settings=OperatorSettings.read(SETTINGS.to_dict() | {"baseModels": [entry]}))
    lab.reconcile()
    assert lab.reason == "Starting"


def invalid(document: dict[str, Any]) -> InvalidResourceError:
    with pytest.raises(InvalidResourceError) as caught:
        AdapterTraining.parse(document)
    return caught.value


def test_a_resource_that_cannot_be_read_is_stalled_and_keeps_the_rest_of_its_status() -> None:
    document = training_document(
        {"spec.objective": {"type": "DirectPreferenceOptimization"}, "spec.dataset.format": "Text"}
    )
    document["status"] = {"adapter": {"version": 1}}
    plan = plan_invalid("AdapterTraining", document, invalid(document), START)
    assert plan.status is not None
    assert plan.status["adapter"] == {"version": 1}
    assert plan.status["observedGeneration"] == 1
    assert [(one["type"], one["status"]) for one in plan.status["conditions"]] == [
        ("Ready", "False"),
        ("Stalled", "True"),
    ]
    assert "spec.dataset.format" in plan.status["conditions"][0]["message"]
    assert [event.reason for event in plan.events] == ["InvalidSpec"]
    document["status"] = plan.status
    again = plan_invalid("AdapterTraining", document, invalid(document), START)
    assert again.is_empty


def test_a_status_that_cannot_be_read_does_not_hide_what_is_wrong() -> None:
    document = training_document({"spec.hyperparameters": {"batchSize": 0}})
    document["status"] = {"conditions": [{"type": "Ready"}]}
    plan = plan_invalid("AdapterTraining", document, invalid(document), START)
    assert plan.status is not None
    assert len(plan.status["conditions"]) == 2
