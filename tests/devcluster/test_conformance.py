"""Every recorded scenario, step by step, against the embedded cluster."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter_devcluster.devcluster import DevCluster

pytestmark = pytest.mark.integration

SUITE = Path(__file__).parents[1] / "conformance"
sys.path.insert(0, str(SUITE))
compare = importlib.import_module("compare")
player = importlib.import_module("conformance")


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False) as found:
        yield found


@pytest.mark.parametrize("name", sorted(path.stem for path in (SUITE / "golden").glob("*.json")))
def test_each_step_is_answered_as_kubernetes_answers_it(cluster: DevCluster, name: str) -> None:
    golden = json.loads((SUITE / "golden" / f"{name}.json").read_text())
    steps = player.play(name, cluster.url, cluster.token)
    assert [step["name"] for step in steps] == [step["name"] for step in golden]
    found = {
        want["name"]: differences
        for want, got in zip(golden, steps, strict=True)
        if (differences := compare.differences(want, got))
    }
    assert found == {}
