"""The AdapterSet: a generation for each content, one set per base and engine, and none deleted that is mounted."""

import pytest

from adapter_contract import AdapterSet
from adapter_testing.serving_world import BASE, ENDPOINT, ServingWorld, digest, follows, serving, training

pytestmark = pytest.mark.unit


def written(world: ServingWorld) -> list[AdapterSet]:
    """The sets that the next plan writes."""
    plan = world.reconcile()
    return [AdapterSet.from_json(one["data"]["adapter-set.json"]) for one in plan.apply if one["kind"] == "ConfigMap"]


def test_the_first_set_says_everything_that_pods_need() -> None:
    world = ServingWorld.of(follows() | {"policy": "Required"}, trainings=[training()])
    [document] = written(world)
    assert document.generation == 1
    assert document.base_model_name == BASE
    assert document.storage.endpoint_url == ENDPOINT
    assert document.storage.credentials_directory == "/adapter/credentials/adapters"
    assert document.limits.max_rank == 64
    assert document.limits.request_timeout_seconds == 300
    [entry] = document.adapters
    assert (entry.name, entry.policy, entry.digest) == ("support-bot", "Required", digest("support-bot 1"))
    assert entry.fallback is None


def test_an_adapter_without_a_version_is_known() -> None:
    [document] = written(ServingWorld.of(follows(), trainings=[training(version=None)]))
    assert [(entry.name, entry.desired) for entry in document.adapters] == [("support-bot", None)]


def test_the_generation_grows_with_the_content_alone() -> None:
    world = serving(follows(), trainings=[training()])
    before = world.current_set.generation
    world.edit(replicas=3)
    world.settle()
    assert world.current_set.generation == before
    world.set_trainings(training(version=2))
    assert [one.generation for one in written(world)] == [before + 1]


@pytest.mark.parametrize("harm", ["deleted", "spoilt"])
def test_a_set_that_somebody_has_harmed_is_written_with_a_newer_generation(harm: str) -> None:
    world = serving(follows(), trainings=[training()])
    before = world.current_set.generation
    [name] = world.config_maps
    if harm == "deleted":
        del world.config_maps[name]
    else:
        world.config_maps[name]["data"] = {"adapter-set.json": "{}"}
    assert [one.generation for one in written(world)] == [before + 1]


def test_other_engine_settings_are_another_set_and_the_old_one_stays_while_it_is_mounted() -> None:
    world = serving(follows(), trainings=[training()])
    [old] = world.config_maps
    world.edit(engine={"maxRank": 128})
    world.settle()
    assert len(world.config_maps) == 2
    new = next(name for name in world.config_maps if name != old)
    pod = world.start_pod()
    world.sync()
    world.settle()
    assert set(world.config_maps) == {old, new}
    leaving = world.pods["support-1"]
    leaving["metadata"]["deletionTimestamp"] = "2030-01-31T12:00:00Z"
    replica_set = leaving["metadata"]["ownerReferences"][0]["uid"].removeprefix("uid-")
    world.replica_sets[replica_set]["spec"]["replicas"] = 0
    world.settle()
    assert set(world.config_maps) == {old, new}
    world.remove_pod("support-1")
    plan = world.reconcile()
    assert [(one.kind, one.name, one.namespace) for one in plan.delete] == [("ConfigMap", old, "team-a")]
    assert world.mounted_set(pod).limits.max_rank == 128


def test_a_set_that_pods_mount_is_made_again() -> None:
    world = serving(follows(), trainings=[training()])
    [old] = world.config_maps
    world.edit(engine={"maxRank": 128})
    world.settle()
    del world.config_maps[old]
    world.settle()
    assert world.mounted_set("support-1").adapters == world.current_set.adapters


def test_settings_of_limits_alone_share_the_set() -> None:
    world = serving(follows(), trainings=[training()])
    world.edit(limits={"maxQueuedRequests": 7})
    world.settle()
    assert len(world.config_maps) == 1


def test_a_foreign_config_map_of_a_sets_name_is_a_conflict() -> None:
    world = ServingWorld.of(follows(), trainings=[training()])
    [name] = [one["metadata"]["name"] for one in world.plan().apply if one["kind"] == "ConfigMap"]
    world.foreign["other"] = {"kind": "ConfigMap", "metadata": {"name": "support-set-0123456789", "uid": "y"}}
    assert world.plan().apply != ()
    world.foreign["set"] = {"kind": "ConfigMap", "metadata": {"name": name, "uid": "x"}}
    plan = world.reconcile()
    assert plan.apply == ()
    assert world.ready == ("False", "NameConflict")


def test_as_many_adapters_as_there_may_be_fit_a_config_map_however_long_their_keys() -> None:
    """A key has at most 1024 bytes (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html)."""

    def far(number: int, version: int) -> dict[str, object]:
        uri = f"s3://adapters/{version}/{number:0>1007}"
        return {"name": f"bot-{number}", "source": {"s3": {"uri": uri, "digest": digest(f"{number} {version}")}}}

    world = serving(*(far(number, 1) for number in range(256)))
    world.edit(adapters=[far(number, 2) for number in range(256)])
    world.settle()
    assert all(entry.fallback is not None for entry in world.current_set.adapters)
    assert len(world.current_set.to_json()) < 1 << 20
