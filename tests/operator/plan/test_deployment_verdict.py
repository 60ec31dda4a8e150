"""Every row of the truth table that a deployment can be in, reached as a cluster reaches it."""

from collections.abc import Callable

import pytest

from adapter_contract import AdapterState, AdapterStatus
from adapter_operator.observe.deployment import PodReport
from adapter_operator.plan.deployment import plan_deployment
from adapter_testing.serving_world import (
    BASE,
    NOW,
    ServingWorld,
    digest,
    follows,
    record,
    serving,
    settings,
    training,
)

pytestmark = pytest.mark.unit

D1, D2 = digest("support-bot 1"), digest("support-bot 2")


def first_sight() -> ServingWorld:
    return ServingWorld.of(follows(), trainings=[training()])


def served() -> ServingWorld:
    return serving(follows(), trainings=[training()])


def no_adapters() -> ServingWorld:
    return serving()


def pod_starting() -> ServingWorld:
    world = first_sight()
    world.settle()
    world.start_pod(ready=False)
    return world


def crashing() -> ServingWorld:
    world = pod_starting()
    terminated = {"exitCode": 66, "reason": "Error", "message": "the base model is missing"}
    world.pods["support-1"]["status"]["containerStatuses"] = [
        {"name": "server", "restartCount": 3, "state": {}, "lastState": {"terminated": terminated}}
    ]
    return world


def unschedulable() -> ServingWorld:
    world = pod_starting()
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: no GPU"}
    world.pods["support-1"]["status"] = {"phase": "Pending", "conditions": [condition]}
    return world


def image_missing() -> ServingWorld:
    world = pod_starting()
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    world.pods["support-1"]["status"] = {"phase": "Pending", "containerStatuses": [{"name": "server", "state": state}]}
    return world


def secret_missing() -> ServingWorld:
    world = pod_starting()
    state = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}
    world.pods["support-1"]["status"] = {"phase": "Pending", "containerStatuses": [{"name": "server", "state": state}]}
    return world


def quota() -> ServingWorld:
    world = first_sight()
    world.settle()
    world.deployment["status"]["conditions"] = [
        {"type": "ReplicaFailure", "status": "True", "message": 'pods "x" is forbidden: exceeded quota: gpus'}
    ]
    return world


def denied() -> ServingWorld:
    world = quota()
    world.deployment["status"]["conditions"][0]["message"] = 'pods "x" is forbidden: violates PodSecurity'
    return world


def stuck() -> ServingWorld:
    world = crashing()
    world.deployment["status"]["conditions"] = [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    ]
    return world


def loading() -> ServingWorld:
    world = first_sight()
    world.settle()
    pod = world.start_pod()
    world.report(pod, AdapterStatus(name="support-bot", state=AdapterState.DOWNLOADING, desired_digest=D1, since=NOW))
    return world


def failing(reason: str) -> Callable[[], ServingWorld]:
    def world() -> ServingWorld:
        found = loading()
        found.report(
            "support-1",
            AdapterStatus(
                name="support-bot",
                state=AdapterState.FAILED,
                desired_digest=D1,
                reason=reason,
                message="no answer from http://store:9000",
                since=NOW,
            ),
        )
        return found

    return world


def refusing(reason: str) -> Callable[[], ServingWorld]:
    def world() -> ServingWorld:
        found = first_sight()
        found.settle()
        found.sync(found.start_pod(), refuse={D1: (reason, "adapter_model.safetensors has another digest")})
        return found

    return world


def without_first_version() -> ServingWorld:
    return serving(follows(), trainings=[training(version=None)])


def scaled_to_zero() -> ServingWorld:
    return ServingWorld.of(follows(), trainings=[training()], replicas=0)


def rolling() -> ServingWorld:
    world = served()
    world.edit(engine={"maxRank": 128})
    world.settle()
    world.start_pod(ready=False)
    return world


def rolling_without_surge() -> ServingWorld:
    world = serving(follows(), trainings=[training()], replicas=2, rollout={"maxSurge": 0, "maxUnavailable": 1})
    world.edit(engine={"maxRank": 128})
    world.settle()
    world.remove_pod("support-1")
    world.start_pod(ready=False)
    return world


def crowded() -> ServingWorld:
    world = served()
    world.edit(replicas=2)
    world.settle()
    pod = world.start_pod(ready=False)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: no GPU"}
    world.pods[pod]["status"] = {"phase": "Pending", "conditions": [condition]}
    return world


def growing() -> ServingWorld:
    world = served()
    world.edit(replicas=2)
    world.settle()
    world.start_pod(ready=False)
    return world


def training_gone() -> ServingWorld:
    world = served()
    world.set_trainings()
    return world


def sharing_ended() -> ServingWorld:
    world = serving(follows(namespace="team-b"), trainings=[training(namespace="team-b", shared_with=["team-a"])])
    world.set_trainings(training(namespace="team-b"))
    return world


def recreated() -> ServingWorld:
    world = served()
    world.set_trainings(training(version=None))
    return world


def never_there() -> ServingWorld:
    return serving(follows("suport-bot"), trainings=[training()])


def never_shared() -> ServingWorld:
    return serving(follows(namespace="team-b"), trainings=[training(namespace="team-b")])


def unknown_version() -> ServingWorld:
    return serving(follows(digest=D2), trainings=[training(version=None, endpoint=None)])


def other_store() -> ServingWorld:
    return serving(follows(), trainings=[training(endpoint="https://elsewhere:9000")])


def silent() -> ServingWorld:
    world = served()
    report = world.reports["uid-support-1"].report
    world.reports["uid-support-1"] = PodReport(report, received=world.now, unreachable_since=world.now)
    world.wait(60)
    return world


def never_heard() -> ServingWorld:
    world = first_sight()
    world.settle()
    world.start_pod()
    world.reports["uid-support-1"] = PodReport(None, received=world.now, unreachable_since=world.now)
    world.wait(61)
    return world


def autoscaled() -> ServingWorld:
    world = served()
    metrics = [{"name": "queue", "type": "QueueDepth", "target": 5}]
    world.edit(autoscaling={"maxReplicas": 3, "metrics": metrics})
    return world


def own_image() -> ServingWorld:
    world = served()
    world.edit(pod={"image": "elsewhere.example/server:1", "gpus": 0})
    return world


def unknown_base() -> ServingWorld:
    return ServingWorld({"baseModel": {"name": "nobody/knows"}})


def crowd() -> ServingWorld:
    labels = {"serve-on": "support"}
    trainings = [training(f"bot-{number}", labels=labels) for number in range(257)]
    return ServingWorld.of(trainings=trainings, adapterSelector={"matchLabels": labels})


def foreign_service() -> ServingWorld:
    world = first_sight()
    world.foreign["service"] = {"kind": "Service", "metadata": {"name": "support", "uid": "x"}, "spec": {}}
    return world


def merged() -> ServingWorld:
    blend = {"name": "blend", "source": {"merge": {"components": [{"name": "support-bot"}, {"name": "other"}]}}}
    return serving(follows(), blend, trainings=[training()])


ROWS: list[tuple[Callable[[], ServingWorld], str, str | None, str, str]] = [
    (first_sight, "False", "Reconciling", "Pending", "are being created"),
    (served, "True", None, "AdaptersServed", "1 of 1 pods serve all 1 adapters"),
    (no_adapters, "True", None, "AdaptersServed", "the base model; no adapters are listed"),
    (pod_starting, "False", "Reconciling", "PodsStarting", "0 of 1 pods answer"),
    (crashing, "False", "Reconciling", "PodsStarting", "code 66, restarts: 3: the base model is missing"),
    (denied, "False", "Reconciling", "PodsStarting", "violates PodSecurity"),
    (unschedulable, "False", "Reconciling", "Unschedulable", "0/1 nodes: no GPU"),
    (image_missing, "False", "Reconciling", "ImagePullFailed", "not found"),
    (secret_missing, "False", "Reconciling", "VolumeUnavailable", 'secret "x" not found'),
    (quota, "False", "Reconciling", "QuotaExceeded", "exceeded quota: gpus"),
    (stuck, "False", "Stalled", "ProgressDeadlineExceeded", "the base model is missing"),
    (loading, "False", "Reconciling", "AdaptersLoading", f"pods are loading {D1[:19]}"),
    (failing("LoadFailed"), "False", "Reconciling", "AdaptersLoading", "pod support-1 tries again: no answer"),
    (failing("StorageUnavailable"), "False", "Reconciling", "StorageUnavailable", "no answer from http://store"),
    (failing("PermissionDenied"), "False", "Reconciling", "StorageUnavailable", "no answer from http://store"),
    (refusing("AdapterRefused"), "False", "Stalled", "AdapterRefused", "adapter_model.safetensors has another digest"),
    (refusing("BaseModelMismatch"), "False", "Stalled", "BaseModelMismatch", "pod support-1 refuses support-bot"),
    (refusing("MethodNotSupported"), "False", "Stalled", "MethodNotSupported", "pod support-1 refuses support-bot"),
    (refusing("RankExceedsEngine"), "False", "Stalled", "RankExceedsEngine", "pod support-1 refuses support-bot"),
    (refusing("SomethingNew"), "False", "Stalled", "AdapterRefused", "pod support-1 refuses support-bot"),
    (without_first_version, "False", "Reconciling", "WaitingForTraining", "its Ready says Training"),
    (scaled_to_zero, "True", None, "ScaledToZero", "spec.replicas is 0"),
    (rolling, "False", "Reconciling", "RollingUpdate", "0 of 1 pods are replaced"),
    (rolling_without_surge, "False", "Reconciling", "ReducedCapacity", "rollout.maxSurge is 0"),
    (crowded, "False", "Reconciling", "ReducedCapacity", "1 of 2 pods answer: pod support-2: 0/1 nodes: no GPU"),
    (growing, "False", "Reconciling", "PodsStarting", "1 of 2 pods answer"),
    (training_gone, "True", None, "LastVersionServed", "team-a/support-bot of adapter support-bot does not exist"),
    (sharing_ended, "True", None, "LastVersionServed", "add team-a to spec.sharing.namespaces"),
    (recreated, "True", None, "LastVersionServed", "has not published a version yet"),
    (never_there, "False", "Stalled", "TrainingNotFound", "check name and namespace"),
    (never_shared, "False", "Stalled", "NotShared", "add team-a to spec.sharing.namespaces there"),
    (unknown_version, "False", "Stalled", "VersionNotFound", f"has no version {D2}"),
    (other_store, "False", "Stalled", "StorageMismatch", "publishes to https://elsewhere:9000"),
    (silent, "Unknown", "Reconciling", "PodUnreachable", "1 of 1 ready pods do not answer"),
    (never_heard, "Unknown", "Reconciling", "PodUnreachable", "(support-1)"),
    (autoscaled, "False", "Stalled", "InvalidSpec", "spec.autoscaling: this release does not scale by load"),
    (merged, "False", "Stalled", "InvalidSpec", "spec.adapters[name=blend].source.merge"),
    (own_image, "False", "Stalled", "NotPermitted", "spec.pod.image"),
    (unknown_base, "False", "Stalled", "UnknownBaseModel", "does not know nobody/knows"),
    (crowd, "False", "Stalled", "TooManyAdapters", "spec.adapterSelector adds 257"),
    (foreign_service, "False", "Stalled", "NameConflict", "Service support belongs to somebody else"),
]


@pytest.mark.parametrize(("make", "ready", "abnormal", "reason", "words"), ROWS, ids=lambda value: str(value)[:40])
def test_truth_table(
    make: Callable[[], ServingWorld], ready: str, abnormal: str | None, reason: str, words: str
) -> None:
    world = make()
    if make is first_sight:
        world.reconcile()
    else:
        world.settle()
    assert world.ready == (ready, reason)
    assert words in world.message
    present = {type_ for type_ in ("Reconciling", "Stalled") if world.condition(type_) is not None}
    assert present == ({abnormal} if abnormal else set())
    assert world.status["observedGeneration"] == world.generation


@pytest.mark.parametrize("make", [autoscaled, own_image])
def test_what_is_refused_touches_nothing_that_runs(make: Callable[[], ServingWorld]) -> None:
    world = make()
    plan = world.reconcile()
    assert (plan.apply, plan.delete, plan.nudge) == ((), (), ())
    assert world.status["readyReplicas"] == 1
    assert world.adapter()["servedDigest"] == D1


def test_one_adapters_failure_blocks_no_other() -> None:
    world = merged()
    assert world.adapter("support-bot")["servedDigest"] == D1
    assert world.status["adaptersReady"] == "1/2"
    assert world.adapter("blend")["reason"] == "InvalidSpec"


def test_further_adapters_are_counted_in_the_message() -> None:
    world = serving(follows("one"), follows("two"), follows("three"))
    assert world.ready == ("False", "TrainingNotFound")
    assert world.message.endswith("(and 2 more in status.adapters)")
    assert world.condition("AdaptersResolved")["reason"] == "TrainingNotFound"


def test_an_object_of_an_earlier_deployment_is_waited_for() -> None:
    world = first_sight()
    owner = {"kind": "AdapterDeployment", "name": "support", "uid": "earlier", "controller": True}
    world.foreign["old"] = {
        "kind": "Deployment",
        "metadata": {"name": "support", "uid": "x", "ownerReferences": [owner]},
    }
    plan = world.reconcile()
    assert world.ready == ("False", "Pending")
    assert plan.apply == ()
    assert plan.requeue_after == 10
    assert world.reconcile().is_empty
    world.foreign.clear()
    assert {one["kind"] for one in world.reconcile().apply} == {
        "ConfigMap",
        "Deployment",
        "Service",
        "PodDisruptionBudget",
    }


def test_old_pods_may_refuse_what_new_ones_serve() -> None:
    world = served()
    world.edit(engine={"maxRank": 128})
    world.set_trainings(training(version=2))
    world.settle()
    pod = world.start_pod()
    world.sync("support-1", refuse={D2: ("RankExceedsEngine", "rank 128 is over 64")})
    world.sync(pod)
    world.settle()
    assert world.ready == ("False", "RollingUpdate")
    world.remove_pod("support-1")
    world.settle()
    world.sync()
    world.settle()
    assert world.ready == ("True", "AdaptersServed")


def test_a_deleted_deployment_is_left_to_the_garbage_collector() -> None:
    world = served()
    metadata = world.resource.metadata.model_copy(update={"deletion_timestamp": NOW})
    resource = world.resource.model_copy(update={"metadata": metadata})
    assert plan_deployment(resource, world.observe(), world.settings, NOW).is_empty


def test_a_base_model_on_the_hub_is_refused() -> None:
    world = ServingWorld(
        {"baseModel": {"name": BASE, "source": {"huggingFace": {"repository": "HuggingFaceTB/SmolLM2-135M-Instruct"}}}}
    )
    world.settle()
    assert world.ready == ("False", "InvalidSpec")
    assert "spec.baseModel.source.huggingFace" in world.message


def test_a_base_model_that_the_catalogue_has_on_the_hub_is_refused() -> None:
    hub = {"name": BASE, "source": {"huggingFace": {"repository": "HuggingFaceTB/SmolLM2-135M-Instruct"}}}
    world = ServingWorld({"baseModel": {"name": BASE}}, settings=settings(baseModels=[hub]))
    world.settle()
    assert world.ready == ("False", "InvalidSpec")
    assert f"the platform's catalogue has {BASE} on the Hugging Face Hub" in world.message


def test_a_training_that_moves_to_another_store_needs_a_human_and_its_last_version_stays() -> None:
    world = served()
    world.set_trainings(training(version=2, endpoint="https://elsewhere:9000"))
    world.settle()
    assert world.ready == ("False", "StorageMismatch")
    assert world.adapter()["servedDigest"] == world.entry().digest == D1


def test_vllm_is_refused() -> None:
    world = ServingWorld({"baseModel": {"name": BASE}, "engine": {"type": "VLLM"}})
    world.settle()
    assert world.ready == ("False", "InvalidSpec")
    assert "spec.engine.type" in world.message


def test_an_artifact_needs_no_training() -> None:
    artifact = record("legacy", 1)
    source = {"s3": {"uri": artifact["uri"], "digest": artifact["digest"]}}
    world = serving({"name": "legacy", "source": source})
    assert world.ready == ("True", "AdaptersServed")
    assert world.adapter("legacy")["servedDigest"] == artifact["digest"]
