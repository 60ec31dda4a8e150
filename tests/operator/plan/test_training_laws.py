"""Laws of the planner: it comes to rest, equal meanings start nothing, there is never more than one live Job.

The state machine plays users, kubelet, Job controller and an operator that dies in the middle of a plan. `TrainingLab`
asserts on the way: one live Job at most, no pod beside it, every status by the truth table and the API's schema.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapter_contract.exit_codes import ExitCode
from adapter_contract.progress import Phase
from adapter_operator.plan.plan import Plan
from adapter_testing.training_lab import TrainingLab, digest_of, trainer_result

pytestmark = pytest.mark.unit

FAILURES = [code for code in ExitCode if code is not ExitCode.DONE]

IDENTITY = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2),
        "batchSize": st.sampled_from([16, 8]),
        "learningRate": st.sampled_from(["2e-4", "0.0002", "1e-4"]),
    },
)
SPELLINGS: list[dict[str, Any]] = [
    {"hyperparameters": {"learningRate": "0.0002"}},
    {"hyperparameters": {"learningRate": "2e-4", "seed": 0, "warmup": "0.030"}},
    {"method": {"type": "LoRA"}},
    {"method": {"lora": {"rank": 16, "alpha": 32, "targetModules": ["all-linear"]}}},
    {"quantization": {"type": "NF4"}},
    {"objective": {"lossOn": "Completion"}},
    {"sharing": {"namespaces": ["team-b"]}},
    {"pod": {"gpus": 0}},
    {"retries": {"failure": 2}},
    {"jobTTLSecondsAfterFinished": 60},
]


def steps_of(lab: TrainingLab, code: ExitCode) -> None:
    lab.run_pod()
    lab.reconcile()
    if code is ExitCode.DONE:
        lab.succeed(digest_of("a"))
    else:
        lab.fail(code, "it failed")


@given(codes=st.lists(st.sampled_from(ExitCode), max_size=4), seconds=st.integers(0, 400))
@settings(max_examples=15, deadline=None)
def test_a_carried_out_plan_leaves_nothing_to_do(codes: list[ExitCode], seconds: int) -> None:
    lab = TrainingLab()
    lab.reconcile()
    for code in codes:
        if not lab.live_jobs():
            break
        steps_of(lab, code)
        lab.wait(seconds)
        lab.reconcile()
        assert lab.plan().is_empty
        assert lab.plan() == lab.plan()


@given(edits=st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
def test_edits_of_equal_meaning_start_nothing(edits: list[dict[str, Any]]) -> None:
    lab = TrainingLab()
    lab.reconcile()
    steps_of(lab, ExitCode.DONE)
    lab.reconcile()
    for edit in edits:
        lab.edit(edit)
        lab.reconcile()
        assert lab.reason == "Succeeded"
        assert lab.status["observedGeneration"] == lab.document["metadata"]["generation"]
    assert lab.posted == ["support-bot-r1-a1"]


class TrainingMachine(RuleBasedStateMachine):
    """Anything may happen in any order; in the end, when everybody does their work, the training is Ready."""

    def __init__(self) -> None:
        super().__init__()
        self.lab = TrainingLab()
        self.published = 0

    @initialize()
    def first_sight(self) -> None:
        self.lab.reconcile()

    @rule(hyperparameters=IDENTITY)
    def edit_identity(self, hyperparameters: dict[str, Any]) -> None:
        self.lab.edit({"hyperparameters": hyperparameters})

    @rule(gpus=st.integers(0, 2), failure=st.integers(0, 2))
    def edit_settings(self, gpus: int, failure: int) -> None:
        self.lab.edit({"pod": {"gpus": gpus}, "retries": {"failure": failure}})

    @rule(suspend=st.booleans())
    def suspend(self, *, suspend: bool) -> None:
        self.lab.edit({"suspend": suspend})

    @rule(token=st.sampled_from(["1", "2"]))
    def restart(self, token: str) -> None:
        self.lab.edit({"restartToken": token})

    @rule()
    def reconcile(self) -> None:
        self.lab.reconcile()

    @rule(parts=st.integers(0, 4))
    def die_in_the_middle(self, parts: int) -> None:
        """The operator carries out the first parts of a plan and dies."""
        plan = self.lab.plan()
        done: dict[str, Any] = {}
        for name in ("create", "status", "fenced", "delete")[:parts]:
            done[name] = getattr(plan, name)
        if "fenced" in done and plan.fenced is not None and not self._can_post():
            del done["fenced"]
        self.lab.carry_out(Plan(**done))

    def _can_post(self) -> bool:
        return not self.lab.live_jobs() and not self.lab.live_pods()

    @rule(seconds=st.sampled_from([1, 40, 400, 20_000]))
    def wait(self, seconds: int) -> None:
        self.lab.wait(seconds)

    @precondition(lambda self: self.lab.live_jobs() and not self.lab.live_pods())
    @rule(scheduled=st.booleans())
    def pod_appears(self, *, scheduled: bool) -> None:
        (name,) = self.lab.live_jobs()
        has_one = any(pod["metadata"]["ownerReferences"][0]["name"] == name for pod in self.lab.pods.values())
        if not has_one and "deletionTimestamp" not in self.lab.jobs[name]["metadata"]:
            self.lab.add_pod(scheduled=scheduled)

    @precondition(lambda self: self.lab.live_pods())
    @rule()
    def pod_runs(self) -> None:
        self.lab.run_pod()

    @precondition(lambda self: self.lab.live_pods() and self.lab.status.get("run"))
    @rule(phase=st.sampled_from(Phase), step=st.integers(0, 100))
    def pod_tells(self, phase: Phase, step: int) -> None:
        self.lab.report(phase, step=step, loss=1.5)

    @precondition(lambda self: self.lab.live_pods())
    @rule(
        code=st.sampled_from([*FAILURES, 1, 137, 143]),
        disrupted=st.booleans(),
        step=st.integers(0, 3),
        job_finishes=st.booleans(),
    )
    def pod_fails(self, code: int, *, disrupted: bool, step: int, job_finishes: bool) -> None:
        message: bytes | str = ""
        if code in FAILURES:
            run, attempt = self._numbers()
            found = trainer_result(run, attempt, exit_code=ExitCode(code), message="it failed", resumed_from_step=step)
            message = found.to_termination_message()
        self.lab.end_pod(code, message, disrupted=disrupted, job_finishes=job_finishes)

    @precondition(lambda self: self.lab.live_pods())
    @rule(letter=st.sampled_from("abcdef"), job_finishes=st.booleans())
    def pod_publishes(self, letter: str, *, job_finishes: bool) -> None:
        run, attempt = self._numbers()
        result = trainer_result(run, attempt, digest_of(letter))
        self.lab.end_pod(0, result.to_termination_message(), job_finishes=job_finishes)
        self.published += 1

    def _numbers(self) -> tuple[int, int]:
        (name,) = self.lab.live_pods()
        labels = self.lab.pods[name]["metadata"]["labels"]
        return int(labels["adapters.dev/run"]), int(labels["adapters.dev/attempt"])

    @rule()
    def job_controller_catches_up(self) -> None:
        self.lab.finish_jobs()

    @precondition(lambda self: self.lab.jobs)
    @rule(data=st.data())
    def job_vanishes(self, data: st.DataObject) -> None:
        self.lab.drop_job(data.draw(st.sampled_from(sorted(self.lab.jobs))))

    @invariant()
    def at_most_one_live_job(self) -> None:
        assert len(self.lab.live_jobs()) <= 1
        assert len(self.lab.live_pods()) <= 1

    @invariant()
    def versions_are_unique_and_recorded(self) -> None:
        versions = self.lab.status.get("versions", [])
        assert len({one["digest"] for one in versions}) == len(versions)
        assert len({one["version"] for one in versions}) == len(versions)
        assert {one["version"] for one in versions} <= {one["revision"] for one in self.lab.revisions.values()}

    def teardown(self) -> None:
        """Everybody does their work now: the training ends Ready, with its spec's adapter."""
        lab = self.lab
        lab.edit({"suspend": False, "restartToken": "last"})
        for _ in range(20):
            lab.finish_jobs()
            lab.collect_garbage()
            lab.reconcile()
            if lab.reason in {"Succeeded", "Reused"}:
                break
            if lab.live_jobs():
                lab.run_pod()
                lab.reconcile()
                if lab.live_pods():
                    self.pod_publishes(letter="0", job_finishes=True)
            lab.wait(lab.requeue_after or 1)
        assert lab.reason in {"Succeeded", "Reused"}, lab.message
        assert lab.status["run"]["restartToken"] == "last"
        assert lab.status["adapter"]["digest"] == lab.status["run"]["result"]["digest"]
        assert lab.plan().is_empty


TestTrainingMachine = TrainingMachine.TestCase
TestTrainingMachine.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
