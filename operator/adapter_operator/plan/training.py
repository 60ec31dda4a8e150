"""The planner of AdapterTraining: from what is wanted and what is there to what is to be done. Pure.

First the present attempt is harvested: what it published or why it failed goes into the status before anything else is
decided. Then one conclusion is drawn: let an attempt run, stop it, wait, start the next attempt or the next run, or say
that nothing more happens.
"""

from dataclasses import replace
from datetime import datetime

from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.identity import UnknownHashVersionError
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.observe.training import ObservedTraining
from adapter_operator.plan.plan import Plan
from adapter_operator.plan.training_conflicts import name_conflict
from adapter_operator.plan.training_decision import decide
from adapter_operator.plan.training_facts import Facts, Step
from adapter_operator.plan.training_harvest import harvest
from adapter_operator.plan.training_status import status_document, transition_events
from adapter_operator.plan.training_surplus import surplus_config_maps


def plan_training(
    training: AdapterTraining, observed: ObservedTraining, settings: OperatorSettings, now: datetime
) -> Plan:
    """Plan one reconciliation.

    Args:
        training: the resource, with its status as it is stored.
        observed: what the cluster holds of it.
        settings: the operator's.
        now: the time, with a time zone.

    """
    if training.metadata.deletion_timestamp is not None:
        # The garbage collector takes the children, and with them the pods; the artifacts stay.
        return Plan()
    facts = Facts(training, observed, settings, now)
    step = _conclude(facts)
    status = status_document(facts, step)
    events = (*step.events, *transition_events(facts, step))
    return Plan(
        create=step.create,
        status=None if training.status is not None and status == training.status.to_dict() else status,
        fenced=step.fenced,
        delete=(*step.delete, *surplus_config_maps(facts, step)),
        events=events,
        requeue_after=step.requeue_after,
    )


def _conclude(facts: Facts) -> Step:
    before = facts.before
    try:
        harvested = harvest(facts, before)
        conflict = name_conflict(facts, harvested.create, before)
        if conflict is not None:
            return conflict
        step = decide(facts, harvested.status)
    except UnknownHashVersionError as error:
        return Step("InvalidSpec", f"status.run: {error}", before)
    return replace(step, create=(*harvested.create, *step.create), events=(*harvested.events, *step.events))
