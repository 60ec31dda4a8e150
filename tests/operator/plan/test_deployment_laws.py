"""Laws that hold whatever happens: planning is idempotent, generations grow, nothing in service is ever dropped."""

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from adapter_contract import AdapterSet
from adapter_operator.api.v1alpha1.conditions import violations
from adapter_operator.observe.deployment import PodReport
from adapter_testing.serving_world import ServingWorld, digest, follows, training

pytestmark = pytest.mark.unit

NAMES = ("alpha", "beta")
VERSIONS = range(1, 5)


class Cluster(RuleBasedStateMachine):
    """Users, trainings, pods and the operator, in any order; the operator may crash between two writes."""

    @initialize(replicas=st.integers(1, 2))
    def create(self, replicas: int) -> None:
        self.world = ServingWorld.of(
            *(follows(name) for name in NAMES), trainings=[training(name) for name in NAMES], replicas=replicas
        )
        self.applied: dict[str, AdapterSet] = {}

    # Users and trainings.

    @rule(name=st.sampled_from(NAMES), version=st.sampled_from(VERSIONS))
    def publish(self, name: str, version: int) -> None:
        self._put(training(name, version=version, versions=range(1, version)))

    @rule(name=st.sampled_from(NAMES))
    def vanish(self, name: str) -> None:
        self.world.trainings.pop(("team-a", name), None)

    @rule(name=st.sampled_from(NAMES))
    def create_anew(self, name: str) -> None:
        self._put(training(name, version=None))

    @rule(name=st.sampled_from(NAMES))
    def move_to_another_store(self, name: str) -> None:
        self._put(training(name, endpoint="https://elsewhere:9000"))

    def _put(self, document: dict[str, object]) -> None:
        self.world.trainings["team-a", document["metadata"]["name"]] = document  # type: ignore[index]

    @rule(name=st.sampled_from(NAMES), version=st.sampled_from(VERSIONS))
    def hold(self, name: str, version: int) -> None:
        others = [one for one in self.world.spec["adapters"] if one["name"] != name]
        self.world.edit(adapters=[*others, follows(name, digest=digest(f"{name} {version}"))])

    @rule()
    def follow_all(self) -> None:
        self.world.edit(adapters=[follows(name) for name in NAMES])

    @rule(rank=st.sampled_from([64, 128]))
    def change_engine(self, rank: int) -> None:
        self.world.edit(engine={"maxRank": rank})

    @rule(replicas=st.integers(0, 2))
    def scale(self, replicas: int) -> None:
        self.world.edit(replicas=replicas)

    @rule(engine=st.sampled_from(["1.0", "2.0"]))
    def upgrade_operator(self, engine: str) -> None:
        images = {
            "trainer": "registry.example/adapter-trainer:1.0",
            "server": f"registry.example/adapter-server:{engine}",
        }
        self.world.settings = type(self.world.settings).read(self.world.settings.to_dict() | {"images": images})

    # The cluster.

    @precondition(lambda self: self.world.deployment is not None and len(self.world.pods) < 4)
    @rule(ready=st.booleans())
    def start_pod(self, ready: bool) -> None:
        self.world.start_pod(ready=ready)

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def turn(self, data: st.DataObject) -> None:
        self.world.set_ready(self._a_pod(data), ready=data.draw(st.booleans()))

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def remove_pod(self, data: st.DataObject) -> None:
        pod = self._a_pod(data)
        self.world.remove_pod(pod)
        self.applied.pop(pod, None)

    @precondition(lambda self: self.world.pods and self.world.config_maps)
    @rule(
        data=st.data(),
        refused=st.sets(st.sampled_from([f"{name} {version}" for name in NAMES for version in VERSIONS])),
    )
    def apply_set(self, data: st.DataObject, refused: set[str]) -> None:
        reasons = {digest(one): ("AdapterRefused", "torn") for one in refused}
        pod = self._a_pod(data)
        self.world.sync(pod, refuse=reasons)
        self.applied[pod] = self.world.mounted_set(pod)

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def lose_contact(self, data: st.DataObject) -> None:
        uid = f"uid-{self._a_pod(data)}"
        known = self.world.reports.get(uid)
        self.world.reports[uid] = PodReport(known.report if known else None, self.world.now, self.world.now)

    @rule()
    def restart_operator(self) -> None:
        self.world.reports.clear()

    @rule(seconds=st.sampled_from([1, 10, 61]))
    def wait(self, seconds: int) -> None:
        self.world.wait(seconds)

    @precondition(lambda self: all(self.world.was_heard(pod) for pod in self.applied))
    @rule()
    def delete_sets(self) -> None:
        """Somebody does, and the operator sees it while it knows what the pods have applied."""
        self.world.config_maps.clear()
        self.world.settle()

    def _a_pod(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.world.pods)))

    # The operator.

    @rule()
    def reconcile(self) -> None:
        before = self._served()
        self.world.settle()
        self._keeps(before)
        self._holds_after_a_plan()

    @rule()
    def crash_after_the_status(self) -> None:
        """The status was written, and nothing else."""
        before = self._served()
        plan = self.world.plan()
        if plan.status is not None:
            self.world.status = plan.status
        self.world.settle()
        self._keeps(before)
        self._holds_after_a_plan()

    def _served(self) -> dict[str, set[str]]:
        """What pods serve at this moment, by name."""
        return {
            name: {
                status.served_digest
                for report in self.world.reports.values()
                if report.report is not None
                for status in report.report.adapters
                if status.name == name and status.served_digest is not None
            }
            for name in NAMES
        }

    def _keeps(self, served: dict[str, set[str]]) -> None:
        """What answered before the plan may go on answering after it, wherever it is the only version that does."""
        for entry in self.world.current_set.adapters:
            named = {entry.digest, entry.fallback.digest if entry.fallback is not None else None}
            living = {one.uid for one in self.world.observe().pods}
            heard = [self.world.reports[uid] for uid in living if uid in self.world.reports]
            answers = {
                status.served_digest
                for one in heard
                if one.report is not None
                for status in one.report.adapters
                if status.name == entry.name and status.served_digest is not None
            } & served[entry.name]
            if answers:
                assert answers & named, f"{entry.name} serves {answers}, and the set names {named}"

    def _holds_after_a_plan(self) -> None:
        assert violations("AdapterDeployment", self.world.status, self.world.generation) == []
        for pod in self.world.pods:
            # Whatever a pod mounts is there, and is newer where it is another one than the pod applied.
            mounted = self.world.mounted_set(pod)
            applied = self.applied.get(pod, mounted)
            assert mounted.generation > applied.generation or mounted == applied


TestCluster = Cluster.TestCase
TestCluster.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)
