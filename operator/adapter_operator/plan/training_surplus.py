"""Config maps of runs that are over: nothing reads them any more, and the manifests hold what they said."""

from collections.abc import Iterator

from adapter_operator.plan.plan import Deletion
from adapter_operator.plan.training_facts import Facts, Step


def surplus_config_maps(facts: Facts, step: Step) -> Iterator[Deletion]:
    """Deletions of all but the present run's, and those that a Job may still mount."""
    run = step.status.run
    if run is None or run.config_map is None:
        return
    jobs = [attempt.job for attempt in facts.observed.attempts.values() if attempt.job is not None]
    kept = {run.config_map, *(job.config_map for job in jobs if job.finished_time is None)}
    for found in facts.observed.config_maps.values():
        if found.name not in kept:
            yield Deletion("v1", "ConfigMap", facts.training.metadata.namespace, found.name, found.uid)
