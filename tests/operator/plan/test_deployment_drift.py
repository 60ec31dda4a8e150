"""Whether a live object is as it was applied."""

from typing import Any

import pytest

from adapter_operator.plan.drift import differs
from adapter_testing.serving_world import follows, serving, training

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("wanted", "live", "answer"),
    [
        ({"a": 1}, None, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1}, {}, True),
        ({"a": {}}, {}, False),
        ({"a": []}, {}, False),
        ({"a": {"b": 1}}, {"a": None}, True),
        ({"a": [1, 2]}, {"a": [1, 2]}, False),
        ({"a": [1]}, {"a": [1, 2]}, True),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}, False),
        ({"a": [1]}, {"a": 1}, True),
        ({"requests": {"cpu": "1000m"}}, {"requests": {"cpu": "1"}}, False),
        ({"requests": {"cpu": "1000m"}}, {"requests": {"cpu": "2"}}, True),
        ({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}, False),
        ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "much"}}, True),
        ({"sizeLimit": "1024Mi"}, {"sizeLimit": "1Gi"}, False),
        ({"label": "1000m"}, {"label": "1"}, True),
    ],
)
def test_only_what_is_applied_counts(wanted: Any, live: Any, answer: bool) -> None:
    assert differs(wanted, live) is answer


@pytest.mark.parametrize("child", ["service", "budget", "deployment"])
def test_a_child_that_somebody_deleted_or_changed_is_applied_again(child: str) -> None:
    world = serving(follows(), trainings=[training()])
    live = getattr(world, child)
    live["metadata"]["labels"] = {}
    assert [one["kind"] for one in world.plan().apply] == [live["kind"]]
    setattr(world, child, None)
    assert live["kind"] in {one["kind"] for one in world.plan().apply}
