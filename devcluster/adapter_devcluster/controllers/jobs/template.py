"""The pods that a job makes of its template.

Source: ``GetPodFromTemplate`` of ``pkg/controller/controller_utils.go`` and
``pkg/controller/job/{job_controller,indexed_job_utils}.go``, v1.36.
"""

from __future__ import annotations

from typing import Final

from adapter_devcluster.controllers.jobs import failure_policy
from adapter_devcluster.controllers.jobs import pods as pod_facts
from adapter_devcluster.controllers.jobs.spec import JobSpec
from adapter_devcluster.controllers.ownership import controller_reference
from adapter_devcluster.objects import Object, copy, key, section

_INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
# What leaves room for the five letters that the server adds within 63.
_LONGEST_PREFIX: Final = 58


def build_pod(job: Object, index: int | None, replaced: Object | None = None) -> Object:
    """Return a new pod, with a completion index or none.

    ``replaced`` is the failed pod of the same index, whose failures the new pod carries on counting where the job
    limits them per index.
    """
    namespace, name = key(job)
    template = copy(section(job, "spec", "template"))
    about = section(template, "metadata")
    labels = about.get("labels") or {}
    annotations = about.get("annotations") or {}
    finalizers = list(about.get("finalizers") or ())
    spec = template.get("spec") or {}
    prefix = f"{name}-"
    if index is not None:
        annotations[pod_facts.INDEX_KEY] = labels[pod_facts.INDEX_KEY] = str(index)
        spec["hostname"] = f"{name}-{index}"
        prefix = f"{name[: _LONGEST_PREFIX - len(f'-{index}-')]}-{index}-"
        annotations.update(_failure_counts(JobSpec.of(job), replaced))
        _add_index_variable(spec)
    if pod_facts.TRACKING_FINALIZER not in finalizers:
        finalizers.append(pod_facts.TRACKING_FINALIZER)
    metadata: Object = {
        "generateName": prefix,
        "namespace": namespace,
        "labels": labels,
        "annotations": annotations,
        "finalizers": finalizers,
        "ownerReferences": [controller_reference(job)],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {field: value for field, value in metadata.items() if value},
        "spec": spec,
    }


def _add_index_variable(spec: Object) -> None:
    """Tell each container its index, unless it has a variable of that name."""
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{pod_facts.INDEX_KEY}']"}}
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        variables = container.setdefault("env", [])
        if all(one.get("name") != _INDEX_VARIABLE for one in variables):
            variables.append({"name": _INDEX_VARIABLE, "valueFrom": copy(source)})


def _failure_counts(spec: JobSpec, replaced: Object | None) -> dict[str, str]:
    if spec.backoff_limit_per_index is None:
        return {}
    counted = ignored = 0
    if replaced is not None:
        counts = failure_policy.judge(spec.failure_rules, replaced).counts
        counted = pod_facts.failures_before(replaced) + counts
        ignored = pod_facts.ignored_failures_before(replaced) + (not counts)
    found = {pod_facts.FAILURES_KEY: str(counted)}
    if ignored:
        found[pod_facts.IGNORED_FAILURES_KEY] = str(ignored)
    return found
