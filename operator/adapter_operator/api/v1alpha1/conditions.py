"""Conditions by the truth table: how they are made, and how they are judged."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from adapter_operator.api.v1alpha1.metadata import Condition
from adapter_operator.api.v1alpha1.situations import (
    FURTHER_CONDITIONS,
    SITUATIONS,
    KindName,
    Situation,
    Status,
)

_BY_REASON = {(situation.kind, reason): situation for situation in SITUATIONS for reason in situation.reasons}


class UnknownReasonError(LookupError):
    """No situation of the kind has the reason."""


class ContradictoryConditionsError(ValueError):
    """Further conditions say other things than the situation does."""


def situation_of(kind: KindName, reason: str) -> Situation:
    """The one situation that a reason of Ready belongs to.

    Raises:
        UnknownReasonError: the table does not hold the reason.

    """
    try:
        return _BY_REASON[kind, reason]
    except KeyError as error:
        raise UnknownReasonError(f"{kind} has no situation with reason {reason!r}: add it to situations.py") from error


def make_conditions(
    kind: KindName,
    reason: str,
    message: str,
    *,
    generation: int,
    now: datetime,
    previous: Iterable[Condition] = (),
    further: Sequence[Condition] = (),
) -> list[Condition]:
    """The conditions of an object: Ready, what is abnormal, and further ones.

    Args:
        kind: of the object.
        reason: decides the situation, and with it every status.
        message: what happened and what to do.
        generation: the metadata.generation that this speaks of.
        now: time of the conclusion.
        previous: conditions before; an unchanged status keeps its lastTransitionTime.
        further: conditions beside the table's own, such as AdaptersResolved.

    Raises:
        UnknownReasonError: the table does not hold the reason.
        ContradictoryConditionsError: `further` repeats a condition of the table, or AdaptersResolved is not as the
            situation demands.

    """
    situation = situation_of(kind, reason)
    beside = {condition.type: condition.status for condition in further}
    if len(beside) < len(further) or not beside.keys() <= FURTHER_CONDITIONS[kind].keys():
        raise ContradictoryConditionsError(
            f"{kind} can't have {[condition.type for condition in further]} beside {reason}"
        )
    if situation.resolved is not None and beside.get("AdaptersResolved") != situation.resolved:
        raise ContradictoryConditionsError(f"{reason} demands AdaptersResolved {situation.resolved}")
    statuses: dict[str, Status] = {"Ready": situation.ready}
    if situation.abnormal is not None:
        statuses[situation.abnormal] = "True"
    made = [
        Condition(
            type=type_,
            status=status,
            observed_generation=generation,
            last_transition_time=now,
            reason=reason,
            message=message,
        )
        for type_, status in statuses.items()
    ]
    before = {condition.type: condition for condition in previous}
    return [_keep_transition_time(condition, before.get(condition.type)) for condition in (*made, *further)]


def _keep_transition_time(condition: Condition, before: Condition | None) -> Condition:
    if before is None or before.status != condition.status:
        return condition
    return condition.model_copy(update={"last_transition_time": before.last_transition_time})


def violations(kind: KindName, status: Mapping[str, Any], generation: int) -> list[str]:
    """What a status says that the truth table does not allow; empty when all is well.

    Args:
        kind: of the object.
        status: the JSON document of its status.
        generation: the newest metadata.generation.

    """
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    if "Ready" not in conditions:
        return ["Ready is missing: it is set at first sight"]
    found = [*_generation_violations(status, conditions, generation)]
    ready = conditions["Ready"]
    situation = _BY_REASON.get((kind, ready["reason"]))
    if situation is None:
        return [*found, f"Ready has the reason {ready['reason']}, which the table does not hold"]
    expected: dict[str, str | None] = {"Ready": situation.ready, "Reconciling": None, "Stalled": None}
    if situation.abnormal is not None:
        expected[situation.abnormal] = "True"
    if situation.resolved is not None:
        expected["AdaptersResolved"] = situation.resolved
    for type_, wanted in expected.items():
        actual = conditions[type_]["status"] if type_ in conditions else None
        if actual != wanted:
            found.append(f"{ready['reason']}: {type_} is {actual or 'absent'}, not {wanted or 'absent'}")
    abnormal = conditions.get(situation.abnormal or "")
    if abnormal is not None and abnormal["reason"] != ready["reason"]:
        found.append(f"{situation.abnormal} has the reason {abnormal['reason']}, Ready has {ready['reason']}")
    known = {"Ready", "Reconciling", "Stalled", *FURTHER_CONDITIONS[kind]}
    found += [f"{type_} is no condition of {kind}" for type_ in conditions if type_ not in known]
    found += [f"{type_} has no message" for type_, condition in conditions.items() if not condition["message"]]
    return found


def _generation_violations(
    status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]], generation: int
) -> Iterable[str]:
    observed = status.get("observedGeneration")
    if observed is None or observed > generation:
        yield f"observedGeneration is {observed}, the object is at {generation}"
    for type_, condition in conditions.items():
        if condition.get("observedGeneration") != observed:
            yield f"{type_} speaks of generation {condition.get('observedGeneration')}, the status of {observed}"
