"""A resource that can't be read: it breaks a rule that the API server could not judge, or an older schema let it in."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from adapter_operator.api.schema.model import InvalidResourceError
from adapter_operator.api.v1alpha1.conditions import make_conditions
from adapter_operator.api.v1alpha1.metadata import Condition
from adapter_operator.api.v1alpha1.situations import KindName
from adapter_operator.plan.plan import EventRecord, Plan

JSON = Mapping[str, Any]


def plan_invalid(kind: KindName, document: JSON, error: InvalidResourceError, now: datetime) -> Plan:
    """Say what is wrong, and leave everything else as it is: what runs or serves goes on.

    Args:
        kind: of the resource.
        document: the resource as the API server has it.
        error: why it can't be read.
        now: time of the conclusion.

    """
    stored = document.get("status") or {}
    generation = int(document["metadata"].get("generation", 0))
    message = "; ".join(str(problem) for problem in error.problems)
    previous = _conditions(stored)
    conditions = make_conditions(
        kind, "InvalidSpec", message, generation=generation, now=now, previous=previous, further=()
    )
    status = {
        **stored,
        "observedGeneration": generation,
        "conditions": [condition.to_dict() for condition in conditions],
    }
    known = any(condition.type == "Ready" and condition.reason == "InvalidSpec" for condition in previous)
    events = () if known else (EventRecord("Warning", "InvalidSpec", message),)
    return Plan(status=None if status == stored else status, events=events)


def _conditions(status: JSON) -> list[Condition]:
    """The stored conditions, as far as they can be read: the status may be what is invalid."""
    found = []
    for condition in status.get("conditions") or ():
        try:
            found.append(Condition.model_validate(condition, by_alias=True, by_name=False))
        except ValidationError:
            continue
    return found
