"""When pods are rolled: for what the spec or a resolved value says, never for a new operator."""

from typing import Any

import pytest

from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_testing.serving_world import SETTINGS, ServingWorld, follows, serving, settings, training

pytestmark = pytest.mark.unit

NEWER: dict[str, Any] = {
    "images": {"trainer": "registry.example/adapter-trainer:2.0", "server": "registry.example/adapter-server:2.0"},
    "pods": {"server": {"resources": {"requests": {"cpu": "3"}}, "scratch": "99Gi"}},
}


def served(**spec: Any) -> ServingWorld:
    return serving(follows(), trainings=[training()], **spec)


def template(world: ServingWorld) -> dict[str, Any]:
    found: dict[str, Any] = world.deployment["spec"]["template"]
    return found


def test_a_new_image_and_new_defaults_roll_no_pods() -> None:
    world = served()
    before = template(world)
    world.settings = settings(**NEWER)
    assert world.plan().is_empty
    world.edit(replicas=2)
    world.settle()
    assert template(world) == before
    assert world.deployment["spec"]["replicas"] == 2
    assert world.status["resolved"]["image"] == "registry.example/adapter-server:1.0"


def test_with_the_next_change_of_the_spec_they_come() -> None:
    world = served()
    world.settings = settings(**NEWER)
    world.edit(engine={"maxRank": 128})
    world.settle()
    assert template(world)["spec"]["containers"][0]["image"] == "registry.example/adapter-server:2.0"
    assert template(world)["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "3"
    assert world.status["resolved"]["image"] == "registry.example/adapter-server:2.0"
    assert world.ready == ("False", "RollingUpdate")


def test_image_upgrade_rolling_takes_a_new_image_at_once() -> None:
    world = served(rollout={"imageUpgrade": "Rolling"})
    world.settings = settings(**NEWER)
    world.settle()
    assert world.status["resolved"]["image"] == "registry.example/adapter-server:2.0"
    assert world.ready == ("False", "RollingUpdate")


@pytest.mark.parametrize(
    "change",
    [
        {"baseModel": {"name": SETTINGS["baseModels"][0]["name"], "revision": "2"}},
        {"quantization": {"type": "NF4"}},
        {"engine": {"maxModelLength": 2048}},
        {"limits": {"maxOutputTokens": 7}},
        {"storage": {"s3": {"endpointURL": "http://store:9000", "credentialsSecretRef": {"name": "own"}}}},
        {"authentication": {"apiKeysSecretRef": {"name": "keys"}}},
        {"rollout": {"drainSeconds": 7}},
        {"pod": {"gpus": 0}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_pods_are_made_from_rolls_them(change: dict[str, Any]) -> None:
    world = served()
    before = world.status["resolved"]["templateInputsHash"]
    world.edit(**change)
    world.settle()
    assert world.status["resolved"]["templateInputsHash"] != before
    assert world.ready == ("False", "RollingUpdate")


@pytest.mark.parametrize(
    "change",
    [
        {"adapters": []},
        {"replicas": 0},
        {"service": {"port": 8080}},
        {"rollout": {"maxSurge": 2, "maxUnavailable": 1}},
        {"adapterSelector": {"matchLabels": {"a": "b"}}},
        {"engine": {"maxRank": 64, "type": "Transformers"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_else_rolls_nothing(change: dict[str, Any]) -> None:
    world = served()
    before = template(world)
    world.edit(**change)
    world.settle()
    assert template(world) == before


def test_resolved_values_count_like_spec_fields() -> None:
    world = served()
    world.settings = settings(
        baseModels=[{"name": SETTINGS["baseModels"][0]["name"], "source": {"s3": {"uri": "s3://models/other"}}}]
    )
    world.settle()
    assert "s3://models/other" in str(template(world)["spec"]["containers"][0]["env"])
    assert world.ready == ("False", "RollingUpdate")


def test_a_hand_edited_template_is_taken_back() -> None:
    world = served()
    before = template(world)["spec"]["containers"][0]["image"]
    template(world)["spec"]["containers"][0]["image"] = "elsewhere.example/server:1"
    world.settle()
    assert template(world)["spec"]["containers"][0]["image"] == before


def test_a_live_template_of_an_older_operator_keeps_its_set_and_contract_version() -> None:
    world = served()
    [name] = world.config_maps
    older = f"{name[:-1]}{'0' if name[-1] != '0' else '1'}"
    world.config_maps[older] = world.config_maps.pop(name)
    world.config_maps[older]["metadata"]["name"] = older
    [replica_set] = world.replica_sets.values()
    for one in (template(world), replica_set["spec"]["template"], world.pods["support-1"]):
        volume = next(found for found in one["spec"]["volumes"] if found["name"] == "adapter-set")
        volume["configMap"] = {"name": older}
    world.deployment["metadata"]["annotations"][keys.TEMPLATE] = "sha256:older"
    world.set_trainings(training(version=2))
    world.settle()
    assert list(world.config_maps) == [older]
    assert world.current_set.adapters[0].digest == training(version=2)["status"]["adapter"]["digest"]
    assert world.deployment["metadata"]["annotations"][keys.TEMPLATE] == "sha256:older"
    assert world.status["resolved"]["contractVersion"] == 1


def test_a_live_template_that_says_nothing_of_its_set_gets_the_one_of_its_inputs() -> None:
    world = served()
    template(world)["spec"]["volumes"] = []
    template(world)["metadata"]["annotations"].pop(keys.CONTRACT_VERSION)
    world.deployment["metadata"]["annotations"].pop(keys.TEMPLATE)
    world.reconcile()
    assert template(world)["spec"]["volumes"] == []
    assert len(world.config_maps) == 1


def test_the_digest_of_the_inputs_is_the_same_in_every_release() -> None:
    """Another digest for an old spec would roll every pod of every cluster at the upgrade."""
    assert served().status["resolved"]["templateInputsHash"] == GOLDEN_PLAIN
    world = served(
        engine={"maxRank": 128},
        quantization={"type": "NF4"},
        authentication={"apiKeysSecretRef": {"name": "keys"}},
        pod={"gpus": 0, "resources": {"requests": {"cpu": 2}}},
    )
    assert world.status["resolved"]["templateInputsHash"] == GOLDEN_FULL


GOLDEN_PLAIN = "sha256:562b59113d0fef6ae3e1d6a4f5a858b82d60c6bf714f6b86ca73ede81a139c6e"
GOLDEN_FULL = "sha256:1c005747cf42c5cf380e04804744203fc006bc1b5db75fe6f3620ffb88962984"
