"""What holds for every job, whatever becomes of its pods and whenever syncs come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.controllers.jobs.indexes import format_indexes, parse_indexes
from adapter_devcluster.controllers.jobs.pods import is_tracked
from adapter_devcluster.controllers.jobs.spec import is_finished
from adapter_devcluster.controllers.pod_state import is_terminal
from adapter_testing.job_simulation import JobSimulation

pytestmark = pytest.mark.unit

DISRUPTED = {"type": "DisruptionTarget", "status": "True"}
POLICY = {
    "rules": [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
}

policies = st.sampled_from([{}, {"podFailurePolicy": POLICY}, {"podReplacementPolicy": "Failed"}])
limits = st.one_of(st.integers(0, 3).map(lambda limit: {"backoffLimit": limit}), st.just({"activeDeadlineSeconds": 90}))


def plain(parallelism, completions, policy, limit):
    return {"parallelism": parallelism, "completions": completions, **policy, **limit}


def with_indexes(completions, parallelism, per_index, policy):
    limit = {} if per_index is None else {"backoffLimitPerIndex": per_index, "backoffLimit": 2**31 - 1}
    return {"completionMode": "Indexed", "completions": completions, "parallelism": parallelism, **limit, **policy}


specs = st.one_of(
    st.builds(plain, st.integers(1, 3), st.one_of(st.none(), st.integers(0, 4)), policies, limits),
    st.builds(with_indexes, st.integers(1, 4), st.integers(1, 3), st.one_of(st.none(), st.integers(0, 2)), policies),
)
pod_events = st.tuples(
    st.sampled_from(["run", "succeed", "fail", "fail with 42", "disrupt", "delete", "lose finalizer"]),
    st.integers(0, 5),
)
other_events = st.tuples(st.sampled_from(["sync", "wait", "suspend", "resume"]), st.integers(0, 15))


def apply(simulation, event, number):
    """Let something happen, if it can."""
    names = [name for name, pod in simulation.pods.items() if not is_terminal(pod)]
    name = names[number % len(names)] if names else None
    if event == "wait":
        simulation.advance(number)
    elif event in ("suspend", "resume"):
        simulation.job["spec"]["suspend"] = event == "suspend"
    elif event == "sync":
        sync(simulation)
    elif name is not None:
        happen_to_pod(simulation, event, name)


def happen_to_pod(simulation, event, name):
    match event:
        case "run":
            simulation.run(name)
        case "succeed":
            simulation.finish(name)
        case "delete":
            simulation.delete(name)
        case "lose finalizer":
            simulation.untrack(name)
        case _:
            simulation.finish(name, 42 if "42" in event else 1, (DISRUPTED,) if event == "disrupt" else ())


def sync(simulation):
    """Sync and check what must hold after each."""
    if is_finished(simulation.job):
        return
    before = simulation.status
    simulation.sync()
    after, spec = simulation.status, simulation.job["spec"]
    assert len(simulation.active) <= spec["parallelism"]
    assert after.get("active", 0) == len(simulation.active)
    assert 0 <= after["ready"] <= after.get("active", 0)
    for counter in ("succeeded", "failed"):
        assert after.get(counter, 0) >= before.get(counter, 0)
    kinds = [one["type"] for one in after.get("conditions", []) if one["status"] == "True"]
    assert len(set(kinds)) == len(kinds)
    assert len({"Complete", "Failed"} & set(kinds)) <= 1
    assert len({"SuccessCriteriaMet", "FailureTarget"} & set(kinds)) <= 1
    if spec.get("suspend") and not is_finished(simulation.job) and "FailureTarget" not in kinds:
        assert simulation.active == []


@given(specs, st.lists(st.one_of(pod_events, other_events, st.just(("sync", 0))), max_size=25))
def test_every_job_ends_once_and_its_counters_never_go_down(spec, events):
    simulation = JobSimulation(**spec)
    for event, number in events:
        apply(simulation, event, number)
    simulation.job["spec"]["suspend"] = False
    for _ in range(40):
        for name, pod in list(simulation.pods.items()):
            if not is_terminal(pod):
                simulation.finish(name)
        simulation.advance(601)
        for _ in range(4):
            sync(simulation)
    assert is_finished(simulation.job)
    status = simulation.status
    assert (status.get("active"), status["ready"], status["terminating"]) == (None, 0, 0)
    assert status["uncountedTerminatedPods"] == {}
    assert status["startTime"]
    assert ("completionTime" in status) == any(kind == "Complete" for kind, _, _ in simulation.conditions)
    assert not [name for name, pod in simulation.pods.items() if is_tracked(pod)]
    finished = [reason for reason in simulation.events if reason not in ("Suspended", "Resumed")]
    assert len(finished) - ("TooManySucceededPods" in finished) == 1


@given(st.integers(1, 4), st.lists(st.integers(0, 1), min_size=1, max_size=12))
def test_no_failure_is_lost_and_none_counts_twice(limit, codes):
    simulation = JobSimulation(backoffLimit=limit)
    for code in codes:
        simulation.settle()
        if is_finished(simulation.job):
            break
        simulation.finish(simulation.active[0], code)
        simulation.settle()
        simulation.advance(600)
        simulation.settle()
    failures = codes.index(0) if 0 in codes else len(codes)
    assert simulation.status.get("failed", 0) == min(failures, limit + 1)
    assert simulation.status.get("succeeded", 0) == (1 if 0 in codes and failures <= limit else 0)


@given(st.frozensets(st.integers(0, 60)))
def test_indexes_survive_their_text_form(indexes):
    assert parse_indexes(format_indexes(indexes), 61) == indexes
