"""An AdapterDeployment under the whole operator: real watches, calls and controllers; the test plays the pods."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from adapter_contract import AdapterReport, AdapterSet, AdapterState, AdapterStatus, EngineFacts
from adapter_contract.exit_codes import ExitCode
from adapter_contract.trainer_result import TrainerResult
from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_operator.api.v1alpha1.conditions import violations
from adapter_testing.manifests import example
from adapter_testing.operator_lab import NAMESPACE, OperatorLab
from adapter_testing.serving_world import BASE, NOW, digest, record

pytestmark = pytest.mark.integration

KIND = "AdapterDeployment"
D1, D2 = digest("support-bot 1"), digest("support-bot 2")


@pytest.fixture
def lab() -> Iterator[OperatorLab]:
    with OperatorLab() as found:
        yield found
        assert found.complaints == []


def deployment(*adapters: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "adapters.dev/v1alpha1",
        "kind": KIND,
        "metadata": {"name": "support", "namespace": NAMESPACE},
        "spec": {"baseModel": {"name": BASE}, "adapters": list(adapters), "pod": {"gpus": 0}, **spec},
    }


def artifact(number: int = 1, name: str = "support-bot") -> dict[str, Any]:
    found = record(name, number)
    return {"name": name, "source": {"s3": {"uri": found["uri"], "digest": found["digest"]}}}


def following(name: str = "support-bot", **source: Any) -> dict[str, Any]:
    return {"name": name, "source": {"training": {"name": name, **source}}}


def mounted_set(lab: OperatorLab, pod: str) -> AdapterSet:
    """What the pod finds in its volume."""
    volumes = {one["name"]: one for one in lab.get("Pod", pod)["spec"]["volumes"]}
    config_map = lab.get("ConfigMap", volumes["adapter-set"]["configMap"]["name"])
    return AdapterSet.from_json(config_map["data"][keys.SET_KEY])


def apply_set(lab: OperatorLab, pod: str, refused: Mapping[str, str] | None = None) -> AdapterSet:
    """The pod makes its set so and says it; what is refused stays as it was before."""
    document = mounted_set(lab, pod)
    states = []
    for entry in document.adapters:
        reason = (refused or {}).get(entry.digest or "")
        before = entry.fallback.digest if entry.fallback is not None else None
        state = AdapterState.REFUSED if reason else AdapterState.SERVED if entry.digest else AdapterState.WAITING
        states.append(
            AdapterStatus(
                name=entry.name,
                state=state,
                desired_digest=entry.digest,
                served_digest=before if state != AdapterState.SERVED else entry.digest,
                reason=reason,
                message="manifest.json has another digest" if reason else None,
                since=NOW,
            )
        )
    report = AdapterReport(
        contract_version=1,
        generation=document.generation,
        ready=True,
        engine=EngineFacts(type="Transformers", base_model_name=BASE),
        adapters=tuple(states),
    )
    lab.say(pod, report)
    return document


def serve(lab: OperatorLab) -> str:
    """Start the pod and let it serve until the deployment is ready."""
    pod = lab.pod_of("support-")
    lab.run_pod(pod)
    apply_set(lab, pod)
    lab.until(lambda: lab.ready(KIND, "support") == "True")
    catch_up(lab, pod)
    return pod


def catch_up(lab: OperatorLab, pod: str) -> None:
    """Let the pod apply its set until the operator has nothing to add to it."""
    lab.at_rest()
    applied = None
    while applied != mounted_set(lab, pod):
        applied = apply_set(lab, pod)
        lab.at_rest()


def adapter(lab: OperatorLab, name: str = "support-bot") -> dict[str, Any]:
    listed = lab.status(KIND, "support").get("adapters") or ()
    return next((dict(one) for one in listed if one["name"] == name), {})


def train(lab: OperatorLab, number: int) -> None:
    """Run the training to its end; it publishes the version of that number."""
    pod = lab.pod_of(f"support-bot-r{number}")
    lab.run_pod(pod)
    result = TrainerResult(run=number, attempt=1, exit_code=ExitCode.DONE, digest=digest(f"support-bot {number}"))
    lab.finish_pod(pod, 0, result.to_termination_message())
    lab.until(lambda: (lab.status("AdapterTraining", "support-bot").get("adapter") or {}).get("version") == number)


def training(**spec: Any) -> dict[str, Any]:
    manifest = example("minimal", "AdapterTraining")
    manifest["metadata"] = {"name": "support-bot", "namespace": NAMESPACE}
    manifest["spec"] = manifest["spec"] | spec
    return manifest


def test_from_first_sight_to_a_served_adapter(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact()))
    pod = lab.pod_of("support-")
    assert lab.reason(KIND, "support") in {"Pending", "PodsStarting"}
    lab.run_pod(pod, ready=False)
    lab.until(lambda: lab.reason(KIND, "support") == "PodsStarting")
    lab.run_pod(pod)
    apply_set(lab, pod)
    lab.until(lambda: lab.reason(KIND, "support") == "AdaptersServed")
    status = lab.status(KIND, "support")
    assert violations(KIND, status, 1) == []
    assert (status["readyReplicas"], status["adaptersReady"]) == (1, "1/1")
    assert adapter(lab)["servedDigest"] == D1
    assert lab.names("Service") == lab.names("PodDisruptionBudget") == lab.names("Deployment") == ["support"]
    lab.until(lambda: {"Pending", "AdapterServed", "AdaptersServed"} <= set(lab.event_reasons("support")))


def test_at_rest_nothing_is_written(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact()))
    pod = serve(lab)
    versions = {
        (kind, name): lab.get(kind, name)["metadata"]["resourceVersion"]
        for kind in (KIND, "Deployment", "Service", "ConfigMap", "PodDisruptionBudget")
        for name in lab.names(kind)
    }
    lab.change("Pod", pod, {"metadata": {"labels": {"touched": "true"}}})
    lab.at_rest()
    for (kind, name), version in versions.items():
        assert lab.get(kind, name)["metadata"]["resourceVersion"] == version


def nudged(lab: OperatorLab, pod: str) -> str | None:
    """The generation that the pod was last told of."""
    annotations: dict[str, str] = lab.get("Pod", pod)["metadata"].get("annotations") or {}
    return annotations.get(keys.SET_GENERATION)


def test_a_training_is_followed_from_version_to_version_without_a_new_pod(lab: OperatorLab) -> None:
    lab.apply(deployment(following()))
    lab.until(lambda: lab.reason(KIND, "support") == "TrainingNotFound")
    pod = lab.pod_of("support-")
    lab.run_pod(pod)
    apply_set(lab, pod)
    lab.apply(training(preflight={"mode": "Disabled"}))
    lab.until(lambda: lab.reason(KIND, "support") == "WaitingForTraining")
    train(lab, 1)
    lab.until(lambda: adapter(lab).get("desiredDigest") == D1)
    lab.until(lambda: mounted_set(lab, pod).adapters[0].digest == D1)
    apply_set(lab, pod)
    lab.until(lambda: lab.ready(KIND, "support") == "True")
    catch_up(lab, pod)

    lab.apply(training(preflight={"mode": "Disabled"}, hyperparameters={"seed": 7}))
    train(lab, 2)
    lab.until(lambda: lab.reason(KIND, "support") == "AdaptersLoading")
    lab.until(lambda: mounted_set(lab, pod).adapters[0].digest == D2)
    assert mounted_set(lab, pod).adapters[0].fallback.digest == D1
    # The pod was told of the set before as well: the nudge for this one comes after the set is written.
    lab.until(lambda: nudged(lab, pod) == str(mounted_set(lab, pod).generation))
    apply_set(lab, pod)
    lab.until(lambda: lab.ready(KIND, "support") == "True")
    assert (adapter(lab)["servedDigest"], adapter(lab)["version"]) == (D2, 2)
    assert [one["digest"] for one in adapter(lab)["history"]] == [D1]
    assert lab.names("Pod").count(pod) == 1

    catch_up(lab, pod)
    lab.apply(deployment(following(digest=D1)))
    lab.until(lambda: mounted_set(lab, pod).adapters[0].digest == D1)
    apply_set(lab, pod)
    lab.until(lambda: adapter(lab).get("servedDigest") == D1 and lab.ready(KIND, "support") == "True")


def test_a_training_that_vanishes_leaves_its_last_version_in_service(lab: OperatorLab) -> None:
    lab.apply(training(preflight={"mode": "Disabled"}))
    train(lab, 1)
    lab.apply(deployment(following()))
    pod = serve(lab)
    before = mounted_set(lab, pod)
    lab.delete("AdapterTraining", "support-bot")
    lab.until(lambda: lab.reason(KIND, "support") == "LastVersionServed")
    assert lab.ready(KIND, "support") == "True"
    assert lab.condition(KIND, "support", "AdaptersResolved")["status"] == "False"
    assert mounted_set(lab, pod) == before


def test_a_refused_adapter_stalls_and_the_version_before_stays(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact(1)))
    pod = serve(lab)
    lab.apply(deployment(artifact(2)))
    lab.until(lambda: mounted_set(lab, pod).adapters[0].digest == D2)
    apply_set(lab, pod, refused={D2: "AdapterRefused"})
    lab.until(lambda: lab.reason(KIND, "support") == "AdapterRefused")
    assert lab.condition(KIND, "support", "Stalled")["status"] == "True"
    assert "manifest.json has another digest" in lab.condition(KIND, "support")["message"]
    assert adapter(lab)["servedDigest"] == D1


def test_other_engine_settings_roll_the_pods_and_old_ones_keep_their_set(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact()))
    old = serve(lab)
    [old_set] = lab.names("ConfigMap")
    lab.apply(deployment(artifact(), engine={"maxRank": 128}))
    lab.until(lambda: lab.reason(KIND, "support") == "RollingUpdate")
    new = lab.until(lambda: next((one for one in lab.names("Pod") if one != old), ""))
    assert len(lab.names("ConfigMap")) == 2
    lab.run_pod(new)
    apply_set(lab, new)
    lab.until(lambda: old not in lab.names("Pod"))
    lab.until(lambda: lab.ready(KIND, "support") == "True")
    lab.until(lambda: old_set not in lab.names("ConfigMap"))
    assert mounted_set(lab, new).limits.max_rank == 128


def test_a_new_operator_image_rolls_nothing(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact()))
    serve(lab)
    template = lab.get("Deployment", "support")["spec"]["template"]
    lab.stop_operator()
    settings = lab.settings.to_dict() | {"images": {"trainer": "adapter-trainer:2", "server": "adapter-server:2"}}
    lab.settings = type(lab.settings).read(settings)
    lab.start_operator()
    lab.at_rest()
    lab.change(KIND, "support", {"spec": {"replicas": 2}})
    lab.until(lambda: lab.get("Deployment", "support")["spec"]["replicas"] == 2)
    lab.at_rest()
    assert lab.get("Deployment", "support")["spec"]["template"] == template
    assert lab.get("Deployment", "support")["metadata"]["generation"] == 2


def test_after_a_restart_the_stored_status_stands(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact()))
    pod = serve(lab)
    before = lab.get(KIND, "support")["metadata"]["resourceVersion"]
    lab.pods.fall_silent(lab.get("Pod", pod)["metadata"]["uid"])
    lab.stop_operator()
    lab.start_operator()
    lab.at_rest()
    assert lab.get(KIND, "support")["metadata"]["resourceVersion"] == before
    apply_set(lab, pod)
    lab.at_rest()
    assert lab.get(KIND, "support")["metadata"]["resourceVersion"] == before


def test_a_foreign_deployment_of_our_name_is_left_alone(lab: OperatorLab) -> None:
    container = {"name": "x", "image": "x:1"}
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "support", "namespace": NAMESPACE},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
        },
    }
    lab.apply(foreign)
    lab.apply(deployment(artifact()))
    lab.until(lambda: lab.reason(KIND, "support") == "NameConflict")
    lab.at_rest()
    assert lab.names("ConfigMap") == lab.names("Service") == []
    assert "adapters.dev/deployment" not in (lab.get("Deployment", "support")["metadata"].get("labels") or {})


def test_what_somebody_changes_by_hand_is_taken_back(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact()))
    pod = serve(lab)
    [name] = lab.names("ConfigMap")
    applied = mounted_set(lab, pod)
    lab.delete("ConfigMap", name)
    lab.until(lambda: name in lab.names("ConfigMap"))
    assert mounted_set(lab, pod).generation == applied.generation + 1
    lab.change("Service", "support", {"spec": {"selector": {keys.SET_KEY: "x", "adapters.dev/deployment-uid": "x"}}})
    uid = lab.get(KIND, "support")["metadata"]["uid"]
    lab.until(lambda: lab.get("Service", "support")["spec"]["selector"]["adapters.dev/deployment-uid"] == uid)
    lab.change("Deployment", "support", {"spec": {"replicas": 3}})
    lab.until(lambda: lab.get("Deployment", "support")["spec"]["replicas"] == 1)


def test_a_missing_quota_is_told_in_the_api_servers_words(lab: OperatorLab) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods", "namespace": NAMESPACE},
        "spec": {"hard": {"pods": "0"}},
    }
    lab.apply(quota)
    lab.apply(deployment(artifact()))
    lab.until(lambda: lab.reason(KIND, "support") == "QuotaExceeded")
    assert "exceeded quota: no-pods" in lab.condition(KIND, "support")["message"]


def test_a_deployment_scaled_to_zero_is_ready(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact(), replicas=0))
    lab.until(lambda: lab.reason(KIND, "support") == "ScaledToZero")
    lab.until(lambda: lab.names("Deployment") == ["support"])
    lab.at_rest()
    assert lab.names("Pod") == []


def test_children_go_with_the_deployment(lab: OperatorLab) -> None:
    lab.apply(deployment(artifact()))
    serve(lab)
    lab.delete(KIND, "support")
    kinds = ("Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "Pod")
    lab.until(lambda: [name for kind in kinds for name in lab.names(kind)] == [])
