"""The truth table of conditions, as code makes them and as tests judge them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter_operator.api.v1alpha1.conditions import (
    ContradictoryConditionsError,
    UnknownReasonError,
    make_conditions,
    situation_of,
    violations,
)
from adapter_operator.api.v1alpha1.metadata import Condition
from adapter_operator.api.v1alpha1.situations import FURTHER_CONDITIONS, SITUATIONS, KindName, Situation
from adapter_testing.manifests import committed_crd

pytestmark = pytest.mark.unit

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
ROWS = [(situation, reason) for situation in SITUATIONS for reason in situation.reasons]


def resolved(situation: Situation) -> list[Condition]:
    if situation.kind == "AdapterTraining":
        return []
    return [
        Condition(
            type="AdaptersResolved",
            status=situation.resolved or "True",
            observed_generation=3,
            last_transition_time=NOW,
            reason="Resolved",
            message="as it is",
        )
    ]


def status_in(situation: Situation, reason: str) -> dict[str, Any]:
    conditions = make_conditions(
        situation.kind, reason, "what to do", generation=3, now=NOW, further=resolved(situation)
    )
    return {"observedGeneration": 3, "conditions": [condition.to_dict() for condition in conditions]}


@pytest.mark.parametrize(("situation", "reason"), ROWS, ids=lambda value: getattr(value, "name", value))
def test_conditions_made_by_the_table_keep_it(situation: Situation, reason: str) -> None:
    status = status_in(situation, reason)
    assert violations(situation.kind, status, 3) == []
    by_type = {condition["type"]: condition for condition in status["conditions"]}
    assert by_type["Ready"]["status"] == situation.ready
    assert {type_ for type_ in ("Reconciling", "Stalled") if type_ in by_type} == {situation.abnormal} - {None}


@pytest.mark.parametrize(
    ("kind", "when", "ready", "reconciling", "stalled"),
    [
        ("AdapterTraining", "usable", "True", None, None),
        ("AdapterTraining", "in progress", "False", "True", None),
        ("AdapterTraining", "failed", "False", None, "True"),
        ("AdapterTraining", "suspended", "False", None, None),
        ("AdapterDeployment", "serving", "True", None, None),
        ("AdapterDeployment", "in progress", "False", "True", None),
        ("AdapterDeployment", "stalled", "False", None, "True"),
        ("AdapterDeployment", "serving the last version", "True", None, None),
        ("AdapterDeployment", "nothing to serve", "False", None, "True"),
        ("AdapterDeployment", "unreachable", "Unknown", "True", None),
        ("AdapterDeployment", "scaled to zero", "True", None, None),
    ],
)
def test_table_is_the_design(
    kind: KindName, when: str, ready: str, reconciling: str | None, stalled: str | None
) -> None:
    row = next(situation for situation in SITUATIONS if (situation.kind, situation.name) == (kind, when))
    assert row.ready == ready
    assert (row.abnormal == "Reconciling") == (reconciling == "True")
    assert (row.abnormal == "Stalled") == (stalled == "True")


def test_a_reason_belongs_to_one_situation_of_its_kind() -> None:
    reasons = [(situation.kind, reason) for situation, reason in ROWS]
    assert len(reasons) == len(set(reasons))
    for situation, reason in ROWS:
        assert situation_of(situation.kind, reason) is situation


def test_unknown_reason_is_refused() -> None:
    with pytest.raises(UnknownReasonError, match="AdapterTraining has no situation with reason 'Working'"):
        make_conditions("AdapterTraining", "Working", "", generation=1, now=NOW)


def test_transition_time_moves_only_with_the_status() -> None:
    before = make_conditions("AdapterTraining", "Pending", "seen", generation=1, now=NOW)
    later = NOW + timedelta(minutes=5)
    same = make_conditions("AdapterTraining", "Training", "step 1", generation=2, now=later, previous=before)
    assert {condition.last_transition_time for condition in same} == {NOW}
    assert {condition.observed_generation for condition in same} == {2}
    done = make_conditions("AdapterTraining", "Succeeded", "done", generation=2, now=later, previous=same)
    assert [(condition.type, condition.last_transition_time) for condition in done] == [("Ready", later)]


@pytest.mark.parametrize(
    ("reason", "types"),
    [
        ("AdaptersServed", []),
        ("LastVersionServed", ["AdaptersResolved"]),
        ("AdaptersLoading", ["Ready"]),
        ("AdaptersLoading", ["AdaptersResolved", "AdaptersResolved"]),
        ("AdaptersLoading", ["QuotaReserved"]),
    ],
)
def test_further_conditions_that_contradict_are_refused(reason: str, types: list[str]) -> None:
    [resolved_condition] = resolved(situation_of("AdapterDeployment", "AdaptersServed"))
    further = [resolved_condition.model_copy(update={"type": type_}) for type_ in types]
    with pytest.raises(ContradictoryConditionsError):
        make_conditions("AdapterDeployment", reason, "words", generation=1, now=NOW, further=further)


def broken(change: Any) -> list[str]:
    situation = situation_of("AdapterDeployment", "AdaptersLoading")
    status = status_in(situation, "AdaptersLoading")
    change(status)
    return violations("AdapterDeployment", status, 3)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda status: status.pop("conditions"), "Ready is missing"),
        (lambda status: status["conditions"].pop(1), "Reconciling is absent, not True"),
        (lambda status: status["conditions"][0].update(status="True"), "Ready is True, not False"),
        (lambda status: status["conditions"][1].update(type="Stalled"), "Stalled is True, not absent"),
        (lambda status: status["conditions"][1].update(status="False"), "Reconciling is False, not True"),
        (lambda status: status["conditions"][1].update(reason="Pending"), "has the reason Pending"),
        (lambda status: status["conditions"][0].update(reason="Working"), "which the table does not hold"),
        (lambda status: status["conditions"][0].update(message=""), "Ready has no message"),
        (lambda status: status["conditions"][0].update(observedGeneration=2), "Ready speaks of generation 2"),
        (lambda status: status["conditions"][2].update(type="Progressing"), "Progressing is no condition of"),
        (lambda status: status.update(observedGeneration=4), "observedGeneration is 4, the object is at 3"),
        (lambda status: status.pop("observedGeneration"), "observedGeneration is None"),
    ],
)
def test_violation_is_found(change: Any, found: str) -> None:
    assert any(found in line for line in broken(change)), broken(change)


@pytest.mark.parametrize(("actual", "found"), [("False", "is False, not True"), (None, "is absent, not True")])
def test_serving_demands_that_everything_resolves(actual: str | None, found: str) -> None:
    status = status_in(situation_of("AdapterDeployment", "AdaptersServed"), "AdaptersServed")
    [condition] = [entry for entry in status["conditions"] if entry["type"] == "AdaptersResolved"]
    if actual is None:
        status["conditions"].remove(condition)
    else:
        condition["status"] = actual
    assert any(found in line for line in violations("AdapterDeployment", status, 3))


def test_reasons_and_types_fit_the_schema() -> None:
    for situation, reason in ROWS:
        Condition(type="Ready", status="True", last_transition_time=NOW, reason=reason, message=situation.when)
    for kind, types in FURTHER_CONDITIONS.items():
        status = committed_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
        assert len(types) + 3 <= status["properties"]["conditions"]["maxItems"]
