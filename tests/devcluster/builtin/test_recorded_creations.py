"""Every recorded creation of a built-in kind: what was sent, and what Kubernetes 1.36 answered."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_devcluster.apiextensions import Refused
from adapter_devcluster.builtin import BUILTIN, judge_for

pytestmark = pytest.mark.unit

SUITE = Path(__file__).parents[2] / "conformance"
sys.path.insert(0, str(SUITE))
compare = importlib.import_module("compare")
TYPES = {(one.api_version, one.kind): one for one in BUILTIN}


def _steps() -> Iterator[Any]:
    for path in sorted((SUITE / "golden").glob("*.json")):
        # Placeholders become names that are valid as labels.
        for step in json.loads(re.sub(r"<([a-z0-9]+)[^<>]*>", r"\1", path.read_text())):
            sent = step["sent"]
            if not isinstance(sent, dict) or (sent.get("apiVersion"), sent.get("kind")) not in TYPES:
                continue
            if step["code"] in (201, 422) or (step["code"] == 400 and "built-in" in step["name"]):
                yield pytest.param(step, id=f"{path.stem}: {step['name']}")


@pytest.mark.parametrize("step", list(_steps()))
def test_a_creation_is_answered_as_recorded(step: dict[str, Any]) -> None:
    sent, answer = step["sent"], step["answer"]
    metadata = dict(sent["metadata"])
    if "generateName" in metadata:
        metadata["name"] = answer["metadata"]["name"] = "ev-1"
    recorded = (answer or {}).get("metadata", {})
    metadata |= {"uid": recorded.get("uid", "uid1"), "creationTimestamp": "2026-01-01T00:00:00Z"}
    outcome = judge_for(TYPES[sent["apiVersion"], sent["kind"]]).admit_create(
        {**sent, "metadata": metadata},
        namespace="ns",
        field_validation="Strict" if "strict" in step["name"] else "Ignore",
    )
    if isinstance(outcome, Refused):
        assert compare.differences(step, {"code": outcome.status["code"], "answer": outcome.status}) == []
        return
    got = json.loads(json.dumps(outcome.object))
    # What the server adds after the judge.
    got["metadata"] |= {name: recorded[name] for name in ("resourceVersion", "creationTimestamp") if name in recorded}
    for name in ("clusterIP", "clusterIPs"):
        if sent["kind"] == "Service" and name not in got["spec"]:
            got["spec"][name] = answer["spec"][name]
    assert compare.differences(step, {"code": 201, "answer": got}) == []


def test_many_steps_are_played() -> None:
    assert len(list(_steps())) > 20
