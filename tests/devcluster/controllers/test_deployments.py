"""The decisions of the Deployment controller: templates, sizes, revisions, status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.controllers.deployments import revisions, scaling, templates
from adapter_devcluster.controllers.int_or_percent import scaled_value
from adapter_devcluster.objects import timestamp
from adapter_testing.rollouts import NOW, TEMPLATE, deployment, replica_set

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "up", "down"), [(3, 3, 3), ("25%", 3, 2), ("0%", 0, 0), ("100%", 10, 10), ("101%", 11, 10)]
)
def test_shares_are_rounded_up_or_down(value, up, down):
    assert (scaled_value(value, 10, round_up=True), scaled_value(value, 10, round_up=False)) == (up, down)


@pytest.mark.parametrize("value", ["10", "%", "1.5%", "5%%", "-1%"])
def test_a_text_that_is_no_share_is_refused(value):
    with pytest.raises(ValueError, match="not a percentage"):
        scaled_value(value, 10, round_up=True)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "limits"),
    [
        (4, "25%", "25%", (1, 1)),
        (1, "25%", "25%", (1, 0)),
        (10, "25%", "25%", (3, 2)),
        (3, 0, 0, (0, 1)),
        (3, "0%", "10%", (0, 1)),
        (0, 0, 0, (0, 0)),
        (2, 0, 5, (0, 2)),
    ],
)
def test_both_limits_zero_would_be_a_standstill(replicas, surge, unavailable, limits):
    found = deployment(replicas, surge, unavailable)
    assert (scaling.max_surge(found), scaling.max_unavailable(found)) == limits


def test_recreate_has_no_limits():
    found = deployment(strategy={"type": "Recreate"})
    assert (scaling.max_surge(found), scaling.max_unavailable(found), scaling.is_rolling(found)) == (0, 0, False)


# --- templates -----------------------------------------------------------------------------------


def changed(**metadata):
    return {**TEMPLATE, "metadata": {**TEMPLATE["metadata"], **metadata}}


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (changed(labels={"app": "d", "pod-template-hash": "x"}), True),
        (changed(annotations={}), True),
        (changed(creationTimestamp=None), True),
        ({**TEMPLATE, "spec": {**TEMPLATE["spec"], "volumes": [], "nodeSelector": {}, "hostname": None}}, True),
        (changed(annotations={"kubectl.kubernetes.io/restartedAt": "now"}), False),
        ({**TEMPLATE, "spec": {"containers": [{"name": "c", "image": "i:2"}]}}, False),
        ({**TEMPLATE, "spec": {**TEMPLATE["spec"], "securityContext": {}}}, False),
    ],
)
def test_templates_are_equal_by_meaning(other, equal):
    assert templates.equal_templates(TEMPLATE, other) is equal
    assert (templates.template_hash(TEMPLATE, None) == templates.template_hash(other, None)) is equal


def test_a_collision_leads_to_another_hash():
    hashes = {templates.template_hash(TEMPLATE, count) for count in (None, 1, 2)}
    assert len(hashes) == 3
    assert all(set(one) <= set("bcdfghjklmnpqrstvwxz2456789") for one in hashes)


def test_the_new_replica_set_is_marked_with_the_hash_everywhere():
    made = templates.new_replica_set(deployment(minReadySeconds=5))
    hashed = {"app": "d", "pod-template-hash": templates.template_hash(TEMPLATE, None)}
    assert made["metadata"]["name"] == f"d-{hashed['pod-template-hash']}"
    assert made["metadata"]["labels"] == hashed
    assert made["spec"]["selector"] == {"matchLabels": hashed}
    assert made["spec"]["template"]["metadata"]["labels"] == hashed
    assert (made["spec"]["replicas"], made["spec"]["minReadySeconds"]) == (0, 5)
    assert templates.find_new(deployment(), [made]) is made


def test_of_equal_replica_sets_the_oldest_is_the_new_one():
    found = templates.find_new(deployment(), [replica_set("b", 1, created=1), replica_set("a", 1, created=0)])
    assert found is not None
    assert found["metadata"]["name"] == "a"


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "old", "sizes"),
    [
        # The surge first.
        (replica_set("n", 0), [replica_set("o", 4)], {"n": 1}),
        # No pod of the old ones goes before one of the new ones is available.
        (replica_set("n", 1, 0), [replica_set("o", 4)], {}),
        (replica_set("n", 1, 1), [replica_set("o", 4)], {"o": 3}),
        # Ailing old pods go at once: they serve nobody.
        (replica_set("n", 1, 0), [replica_set("o", 4, 2)], {}),
        (replica_set("n", 2, 2), [replica_set("o", 4, 2)], {"o": 2}),
        # The oldest first.
        (replica_set("n", 3, 3), [replica_set("b", 1, created=1), replica_set("a", 1)], {"a": 0}),
        # Over the wanted size.
        (replica_set("n", 6), [], {"n": 4}),
        (replica_set("n", 4), [replica_set("o", 0)], {}),
    ],
)
def test_steps_of_a_rolling_update(new, old, sizes):
    assert scaling.roll(deployment(4, 1, 0), new, old) == sizes


def test_unhealthy_pods_are_taken_from_every_old_replica_set_before_healthy_ones():
    old = [replica_set("a", 3, 3), replica_set("b", 3, 0, created=1)]
    assert scaling.roll(deployment(5, 3, 2), replica_set("n", 2, 0), old) == {"b": 0}


@pytest.mark.parametrize(
    ("new", "old", "sizes"),
    [
        (None, [], {}),
        (replica_set("n", 2), [replica_set("o", 0)], {"n": 10}),
        (None, [replica_set("a", 0), replica_set("b", 0, created=1)], {"b": 10}),
        # In proportion to what they had; the remainder goes to the largest.
        (
            replica_set("n", 5, annotations={revisions.MAXIMUM: "8"}, created=1),
            [replica_set("o", 3, annotations={revisions.MAXIMUM: "8"})],
            {"n": 8, "o": 5},
        ),
    ],
)
def test_a_rescaled_deployment(new, old, sizes):
    assert scaling.rescale(deployment(10, 3, 2), new, old) == sizes


def test_a_saturated_new_replica_set_leaves_nothing_to_the_old():
    new = replica_set("n", 4, annotations={revisions.DESIRED: "4"})
    assert scaling.rescale(deployment(4), new, [replica_set("o", 2), replica_set("p", 0)]) == {"o": 0}


def test_scaling_to_zero_in_the_middle_of_a_rollout_empties_all():
    running = [replica_set(name, 2, annotations={revisions.MAXIMUM: "5"}) for name in ("n", "o")]
    assert scaling.rescale(deployment(0), running[0], running[1:]) == {"n": 0, "o": 0}


def test_without_annotations_the_share_is_taken_from_the_status():
    running = [replica_set(name, 2) for name in ("n", "o")]
    assert scaling.rescale({**deployment(8, 0, 1), "status": {"replicas": 4}}, running[0], running[1:]) == {
        "n": 4,
        "o": 4,
    }
    # With no number at all the largest, here the newest of equals, takes everything.
    newer = replica_set("n", 2, created=1)
    assert scaling.rescale(deployment(8, 0, 1), newer, running[1:]) == {"n": 6, "o": 2}


def test_recreate_keeps_sizes_when_rescaled_with_several_replica_sets():
    running = [replica_set("n", 2, 0), replica_set("o", 1)]
    assert scaling.rescale(deployment(4, strategy={"type": "Recreate"}), running[0], running[1:]) == {"n": 2, "o": 1}


@given(
    wanted=st.integers(0, 20),
    surge=st.integers(0, 5),
    sizes=st.lists(st.integers(1, 10), min_size=2, max_size=4),
    before=st.integers(1, 40),
)
def test_a_proportional_share_adds_up_to_what_is_allowed(wanted, surge, sizes, before):
    running = [
        replica_set(f"r{i}", size, 0, created=i, annotations={revisions.MAXIMUM: str(before)})
        for i, size in enumerate(sizes)
    ]
    found = scaling.rescale(deployment(wanted, surge, 1), running[0], running[1:])
    allowed = wanted + surge if wanted else 0
    assert all(size >= 0 for size in found.values())
    # A remainder that would be negative is dropped, as upstream drops it.
    assert sum(found.values()) == allowed or min(found.values()) == 0


# --- a rollout as a whole ------------------------------------------------------------------------


class World:
    """ReplicaSets and pods, moved by the controllers in any order; what a ReplicaSet reports may be old."""

    def __init__(self, replicas, surge, unavailable):
        self.deployment = deployment(replicas, surge, unavailable)
        self.sets = {"t0": replica_set("t0", replicas)}
        self.pods = {"t0": [True] * replicas}
        self.wanted = "t0"

    @property
    def new(self):
        return self.sets[self.wanted]

    @property
    def old(self):
        return [one for name, one in self.sets.items() if name != self.wanted]

    def edit(self, name):
        self.wanted = name

    def roll(self):
        if self.wanted not in self.sets:
            made = replica_set(self.wanted, 0, created=len(self.sets))
            self.pods[self.wanted] = []
            self.sets[self.wanted] = made
        for name, size in scaling.roll(self.deployment, self.new, self.old).items():
            self.sets[name]["spec"]["replicas"] = size

    def replicate(self, name):
        """Make or delete pods, those first that aren't ready."""
        size, pods = self.sets[name]["spec"]["replicas"], sorted(self.pods[name])
        pods = pods[max(0, len(pods) - size) :]
        self.pods[name] = pods + [False] * (size - len(pods))

    def report(self, name):
        counts = {"replicas": len(self.pods[name]), "availableReplicas": sum(self.pods[name])}
        self.sets[name]["status"].update(counts)

    def make_ready(self, name):
        if False in self.pods[name]:
            self.pods[name][self.pods[name].index(False)] = True

    def available(self):
        return sum(map(sum, self.pods.values()))

    def settled(self):
        return all(
            sizes == [self.deployment["spec"]["replicas"] if name == self.wanted else 0] * 3
            for name, one in self.sets.items()
            for sizes in [[one["spec"]["replicas"], len(self.pods[name]), sum(self.pods[name])]]
        )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["edit", "roll", "roll", "replicate", "report", "make_ready"]),
        st.sampled_from(["t0", "t1", "t2"]),
    ),
    max_size=60,
)


@given(replicas=st.integers(0, 8), surge=st.integers(0, 4), unavailable=st.integers(0, 4), steps=STEPS)
def test_a_rollout_keeps_its_limits_and_ends(replicas, surge, unavailable, steps):
    world = World(replicas, surge, unavailable)
    most = replicas + scaling.max_surge(world.deployment)
    least = replicas - scaling.max_unavailable(world.deployment)
    for action, name in steps:
        before = world.available()
        if action == "roll":
            world.roll()
        elif action == "edit" or name in world.sets:
            getattr(world, action)(name)
        assert scaling.total_size(list(world.sets.values())) <= most
        assert world.available() >= min(before, least)
    rounds = 0
    while not (world.wanted in world.sets and world.settled()):
        rounds += 1
        assert rounds <= 4 * most + 8
        world.roll()
        for name in list(world.sets):
            world.replicate(name)
            world.make_ready(name)
            world.report(name)
        assert scaling.total_size(list(world.sets.values())) <= most
        assert world.available() >= min(least, before if steps else replicas)
        before = world.available()


# --- revisions -----------------------------------------------------------------------------------


def test_the_new_replica_set_gets_the_next_revision_and_the_deployments_annotations():
    found = deployment()
    found["metadata"]["annotations"] = {
        "kubernetes.io/change-cause": "why",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        revisions.REVISION: "9",
    }
    old = [
        replica_set("a", 0, annotations={revisions.REVISION: "3"}),
        replica_set("b", 0, annotations={revisions.REVISION: "x"}),
    ]
    made = revisions.new_annotations(found, replica_set("n", 0), old)
    assert made == {"kubernetes.io/change-cause": "why", revisions.REVISION: "4"}


def test_a_reused_replica_set_remembers_its_revisions():
    old = [replica_set("b", 0, annotations={revisions.REVISION: "2"})]
    new = replica_set("a", 0, annotations={revisions.REVISION: "1"})
    once = revisions.new_annotations(deployment(), new, old)
    assert once == {revisions.REVISION: "3", revisions.HISTORY: "1"}
    old = [replica_set("b", 0, annotations={revisions.REVISION: "4"})]
    assert revisions.new_annotations(deployment(), replica_set("a", 0, annotations=once), old) == {
        revisions.REVISION: "5",
        revisions.HISTORY: "1,3",
    }
    # Its own revision may well be higher than what is left of the others.
    assert revisions.new_annotations(deployment(), replica_set("a", 0, annotations=once), []) == once


def test_the_history_of_revisions_is_bounded():
    history = ",".join(str(1000 + i) for i in range(400))
    new = replica_set("a", 0, annotations={revisions.REVISION: "1999", revisions.HISTORY: history})
    found = revisions.new_annotations(
        deployment(), new, [replica_set("b", 0, annotations={revisions.REVISION: "2000"})]
    )
    assert len(found[revisions.HISTORY]) <= 2000
    assert found[revisions.HISTORY].endswith(",1399,1999")


def test_old_replica_sets_over_the_limit_go_if_they_are_known_to_be_empty():
    numbered = {
        name: replica_set(name, size, annotations={revisions.REVISION: str(number)})
        for number, (name, size) in enumerate([("a", 0), ("b", 1), ("c", 0), ("d", 0), ("e", 0)])
    }
    numbered["c"]["metadata"]["generation"] = 2
    numbered["d"]["metadata"]["deletionTimestamp"] = timestamp(NOW)

    def gone(limit):
        found = revisions.surplus(deployment(revisionHistoryLimit=limit), list(numbered.values()))
        return [one["metadata"]["name"] for one in found]

    assert gone(0) == ["a", "e"]
    assert gone(1) == ["a"]
    assert gone(4) == []
    assert gone(2**31 - 1) == []
    assert revisions.surplus(deployment(), list(numbered.values())) == []
