"""How adapters resolve to versions, and what stays in service when they do not."""

from typing import Any

import pytest

from adapter_contract.layout import artifact_uri
from adapter_operator.plan.deployment_adapters import TooManyAdaptersError, resolve_adapters
from adapter_testing.serving_world import (
    ENDPOINT,
    OUTPUT,
    ServingWorld,
    digest,
    follows,
    record,
    revision,
    serving,
    training,
)

pytestmark = pytest.mark.unit

D1, D2, D3, D4 = (digest(f"support-bot {number}") for number in range(1, 5))
SELECTOR = {"matchLabels": {"serve-on": "support"}}
LABELS = {"serve-on": "support"}


def resolve(world: ServingWorld) -> dict[str, Any]:
    return {one.name: one for one in resolve_adapters(world.resource, world.observe(), ENDPOINT)}


def test_a_followed_training_gives_its_promoted_version() -> None:
    found = resolve(ServingWorld.of(follows(), trainings=[training(version=2, versions=[1])]))["support-bot"]
    assert (found.version.digest, found.version.number) == (D2, 2)
    assert found.obstacle is None


@pytest.mark.parametrize("known_by", ["status", "revision", "layout"])
def test_a_held_version_is_found_by_status_revision_or_layout(known_by: str) -> None:
    of = training(version=3, versions=[1] if known_by == "status" else [])
    world = ServingWorld.of(follows(digest=D1), trainings=[of])
    if known_by == "revision":
        world.revisions = [revision(of, 3), revision(of, 1), revision(training("another"), 1)]
    found = resolve(world)["support-bot"].version
    assert (found.digest, found.uri) == (D1, artifact_uri(OUTPUT, "support-bot", D1))
    assert found.number == (None if known_by == "layout" else 1)


def test_a_version_that_is_being_pruned_is_refused_but_stays_where_it_is_served() -> None:
    of = training(version=2, versions=[1])
    world = ServingWorld.of(follows(digest=D1), trainings=[of])
    world.revisions = [revision(of, 1, pruning=True)]
    assert resolve(world)["support-bot"].obstacle.reason == "VersionNotFound"
    served = serving(follows(digest=D1), trainings=[of])
    served.revisions = [revision(of, 1, pruning=True)]
    served.settle()
    assert served.entry().digest == D1
    assert served.ready == ("True", "LastVersionServed")


def test_a_rollback_goes_to_what_was_served_before_even_when_no_revision_is_left() -> None:
    world = serving(follows(), trainings=[training(version=1)])
    world.set_trainings(training(version=2))
    world.settle()
    world.sync()
    world.settle()
    bare = training(version=2)
    del bare["status"]["resolved"]
    world.set_trainings(bare)
    world.edit(adapters=[follows(digest=D1)])
    world.settle()
    assert world.entry().digest == D1
    assert world.adapter()["version"] == 1


def test_the_location_of_a_training_must_be_one_that_pods_can_be_told() -> None:
    of = training()
    of["status"]["adapter"]["uri"] = "s3://adapters/../elsewhere/"
    found = resolve(ServingWorld.of(follows(), trainings=[of]))["support-bot"]
    assert found.obstacle.reason == "VersionNotFound"
    assert "'s3://adapters/../elsewhere/' can't be used" in found.obstacle.message


def test_an_endpoint_is_compared_without_its_last_slash() -> None:
    assert resolve(ServingWorld.of(follows(), trainings=[training(endpoint=f"{ENDPOINT}/")]))["support-bot"].version
    aws = training(endpoint=None)
    found = resolve(ServingWorld.of(follows(), trainings=[aws]))["support-bot"]
    assert "publishes to AWS, but spec.storage reads http://store:9000" in found.obstacle.message


def test_a_training_of_ones_own_namespace_needs_no_sharing() -> None:
    world = ServingWorld.of(follows(namespace="team-a"), trainings=[training()])
    assert resolve(world)["support-bot"].obstacle is None


class TestWhenASourceNoLongerResolves:
    def test_the_last_served_version_stays_and_the_set_does_not_change(self) -> None:
        world = serving(follows(), trainings=[training()])
        before = world.current_set
        world.set_trainings()
        world.settle()
        assert world.current_set == before
        assert world.adapter()["reason"] == "LastVersionServed"
        assert world.condition("AdaptersResolved")["status"] == "False"

    def test_it_stays_when_the_operator_was_restarted_and_no_pod_answers_yet(self) -> None:
        world = serving(follows(), trainings=[training()])
        before = world.current_set
        world.set_trainings()
        world.reports.clear()
        world.settle()
        assert world.current_set == before

    def test_it_stays_when_the_status_was_lost(self) -> None:
        world = serving(follows(), trainings=[training()])
        before = world.current_set
        world.status = None
        world.set_trainings()
        world.settle()
        assert world.current_set == before

    def test_a_version_that_no_pod_has_served_is_given_up_for_the_one_before(self) -> None:
        world = serving(follows(), trainings=[training()])
        world.set_trainings(training(version=2))
        world.settle()
        world.set_trainings()
        world.settle()
        assert world.entry().digest == D1
        assert world.ready == ("True", "LastVersionServed")

    def test_another_trainings_version_is_a_fallback_and_no_more(self) -> None:
        world = serving(follows(adapter="bot"), trainings=[training()])
        world.edit(adapters=[follows("other-bot", adapter="bot")])
        world.settle()
        entry = world.entry("bot")
        assert (entry.digest, entry.fallback.digest) == (None, D1)
        assert world.ready == ("False", "TrainingNotFound")
        assert f"{D1[:19]} stays in service" in world.message

    def test_a_held_version_is_not_replaced_by_another_one(self) -> None:
        world = serving(follows(), trainings=[training()])
        world.edit(adapters=[follows(digest=D2)])
        world.set_trainings()
        world.settle()
        entry = world.entry()
        assert (entry.digest, entry.fallback.digest) == (None, D1)
        assert world.ready == ("False", "TrainingNotFound")

    def test_an_artifact_outside_the_layout_belongs_to_no_training(self) -> None:
        artifact = {"uri": "s3://elsewhere/legacy/", "digest": D1}
        world = serving({"name": "bot", "source": {"s3": artifact}})
        world.edit(adapters=[follows("gone", adapter="bot")])
        world.settle()
        assert (world.entry("bot").digest, world.entry("bot").fallback.digest) == (None, D1)


class TestFallback:
    def test_while_pods_swap_it_is_the_version_that_others_still_serve(self) -> None:
        world = serving(follows(), trainings=[training()], replicas=2)
        world.set_trainings(training(version=2))
        world.settle()
        world.sync("support-1")
        world.settle()
        assert (world.entry().digest, world.entry().fallback.digest) == (D2, D1)
        assert "servedDigest" not in world.adapter()
        world.sync("support-2")
        world.settle()
        assert world.entry().fallback.digest == D2
        assert world.adapter()["servedDigest"] == D2

    def test_a_pod_that_serves_nothing_yet_is_given_no_older_version(self) -> None:
        world = serving(follows(), trainings=[training()])
        world.set_trainings(training(version=2))
        world.settle()
        world.sync()
        world.settle()
        world.edit(replicas=2)
        world.settle()
        pod = world.start_pod()
        world.report(pod, generation=1)
        world.settle()
        assert world.entry().fallback.digest == D2

    def test_a_refused_version_leaves_the_one_before_in_service(self) -> None:
        world = serving(follows(), trainings=[training()])
        world.set_trainings(training(version=2))
        world.settle()
        world.sync(refuse={D2: ("AdapterRefused", "adapter_model.safetensors has another digest")})
        world.settle()
        assert world.ready == ("False", "AdapterRefused")
        assert (world.entry().digest, world.entry().fallback.digest) == (D2, D1)
        assert world.adapter()["servedDigest"] == D1
        assert world.message.endswith(f"{D1[:19]} stays in service")

    def test_it_comes_from_the_history_where_nothing_else_is_left(self) -> None:
        world = serving(follows(), trainings=[training()])
        world.set_trainings(training(version=2))
        world.settle()
        world.config_maps.clear()
        world.reports.clear()
        world.pods.clear()
        world.status["adapters"][0].pop("servedDigest")
        world.settle()
        assert (world.entry().digest, world.entry().fallback.digest) == (D2, D1)


class TestSelector:
    def test_trainings_are_served_under_their_names_beside_listed_ones(self) -> None:
        world = ServingWorld.of(
            follows("other", adapter="one"),
            trainings=[training("one", labels=LABELS), training("two", labels=LABELS), training("other")],
            adapterSelector=SELECTOR,
        )
        found = resolve(world)
        assert list(found) == ["one", "two"]
        assert found["one"].version.digest == digest("other 1")

    def test_only_trainings_of_the_own_namespace_are_selected(self) -> None:
        foreign = training("one", namespace="team-b", labels=LABELS, shared_with=["team-a"])
        assert resolve(ServingWorld.of(trainings=[foreign], adapterSelector=SELECTOR)) == {}

    def test_a_training_that_is_no_longer_selected_is_unloaded(self) -> None:
        world = serving(trainings=[training("one", labels=LABELS)], adapterSelector=SELECTOR)
        assert world.entry("one").digest == digest("one 1")
        world.set_trainings(training("one"))
        world.settle()
        assert world.current_set.adapters == ()

    @pytest.mark.parametrize(
        ("requirement", "selected"),
        [
            ({"operator": "In", "values": ["live", "beta"]}, {"live"}),
            ({"operator": "NotIn", "values": ["draft"]}, {"live", "bare"}),
            ({"operator": "Exists"}, {"live", "draft"}),
            ({"operator": "DoesNotExist"}, {"bare"}),
        ],
        ids=lambda value: str(value)[:24],
    )
    def test_expressions_mean_what_they_mean_in_kubernetes(self, requirement: Any, selected: set[str]) -> None:
        world = ServingWorld.of(
            trainings=[
                training("live", labels={"stage": "live"}),
                training("draft", labels={"stage": "draft"}),
                training("bare"),
            ],
            adapterSelector={"matchExpressions": [{"key": "stage", **requirement}]},
        )
        assert set(resolve(world)) == selected

    @pytest.mark.parametrize("name", ["support--bot", "smollm2"])
    def test_a_name_that_no_adapter_can_have_is_named_and_left_out(self, name: str) -> None:
        world = ServingWorld.of(
            trainings=[training(name, labels=LABELS), training("good", labels=LABELS)],
            adapterSelector=SELECTOR,
            baseModel={"name": "smollm2", "source": {"image": {"reference": "registry.example/smollm2:1"}}},
        )
        world.settle()
        world.sync(world.start_pod())
        world.settle()
        assert world.ready == ("False", "InvalidSpec")
        assert f"the AdapterTraining {name}, whose name can't be an adapter's" in world.message
        assert [entry.name for entry in world.current_set.adapters] == ["good"]
        assert world.status["adaptersReady"] == "1/2"

    def test_more_than_256_are_too_many(self) -> None:
        trainings = [training(f"bot-{number}", labels=LABELS) for number in range(256)]
        assert len(resolve(ServingWorld.of(trainings=trainings, adapterSelector=SELECTOR))) == 256
        world = ServingWorld.of(follows(), trainings=trainings, adapterSelector=SELECTOR)
        with pytest.raises(TooManyAdaptersError, match=r"lists 1 adapters and spec.adapterSelector adds 256"):
            resolve(world)


def test_history_keeps_the_last_three_versions_with_what_replaced_them() -> None:
    world = serving(follows(), trainings=[training()])
    for number in (2, 3, 4):
        world.wait(60)
        world.set_trainings(training(version=number))
        world.settle()
        world.sync()
        world.settle()
    world.wait(60)
    world.edit(adapters=[follows(digest=D2)])
    world.settle()
    world.sync()
    world.settle()
    history = world.adapter()["history"]
    assert [(one["digest"], one["version"], one["reason"]) for one in history] == [
        (D4, 4, "Held"),
        (D3, 3, "Promoted"),
        (D1, 1, "Promoted"),
    ]
    assert history[0]["uri"] == record("support-bot", 4)["uri"]
    assert [one["time"] for one in history] == ["2030-01-31T12:04:00Z", "2030-01-31T12:03:00Z", "2030-01-31T12:01:00Z"]


def test_a_version_that_was_never_served_does_not_enter_the_history() -> None:
    world = serving(follows(), trainings=[training()])
    world.set_trainings(training(version=2))
    world.settle()
    world.set_trainings(training(version=3))
    world.settle()
    assert [one["digest"] for one in world.adapter()["history"]] == [D1]


def test_another_source_is_told_in_the_history() -> None:
    world = serving(follows(), trainings=[training()])
    artifact = record("legacy", 1)
    source = {"s3": {"uri": artifact["uri"], "digest": artifact["digest"]}}
    world.edit(adapters=[{"name": "support-bot", "source": source}])
    world.settle()
    assert [one["reason"] for one in world.adapter()["history"]] == ["SourceChanged"]
    world.sync()
    world.settle()
    world.edit(adapters=[follows("gone", adapter="support-bot")])
    world.settle()
    assert [one["reason"] for one in world.adapter()["history"]] == ["TrainingNotFound", "SourceChanged"]
