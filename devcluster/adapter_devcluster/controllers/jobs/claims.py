"""How pods become a job's, and cease to be: besides the owner reference, the finalizer by which it counts them.

Source: ``getPodsForJob`` of ``pkg/controller/job/job_controller.go``, v1.36.
"""

from __future__ import annotations

from adapter_devcluster.client import Client
from adapter_devcluster.controllers.jobs.pods import TRACKING_FINALIZER, is_tracked
from adapter_devcluster.controllers.ownership import controller_reference, judge_claim
from adapter_devcluster.objects import Object, key, meta, owner_references, section, uid
from adapter_devcluster.selectors import label_selector


def claim_pods(client: Client, job: Object) -> list[Object]:
    """Take over and let go pods as it takes, and return those that the job has. May raise StatusError."""
    selector = label_selector(section(job, "spec").get("selector"))
    claimed = []
    for pod in client.list("pods", key(job)[0]):
        match judge_claim(job, selector, pod):
            case "keep":
                claimed.append(pod)
            case "adopt":
                references = [*owner_references(pod), controller_reference(job)]
                claimed.append(_patch(client, pod, references, tracked=True))
            case "release":
                references = [one for one in owner_references(pod) if one.get("uid") != uid(job)]
                _patch(client, pod, references, tracked=False)
            case _:
                pass
    return claimed


def untrack(client: Client, pod: Object) -> None:
    """Take the finalizer from a pod, if it has it, as the pod is now. May raise StatusError."""
    present = client.get("pods", *key(pod))
    if present is not None and is_tracked(present):
        _patch(client, present, owner_references(present), tracked=False)


def _patch(client: Client, pod: Object, references: list[Object], *, tracked: bool) -> Object:
    finalizers = [one for one in meta(pod).get("finalizers") or () if one != TRACKING_FINALIZER]
    if tracked:
        finalizers.append(TRACKING_FINALIZER)
    metadata = {"uid": uid(pod), "finalizers": finalizers or None, "ownerReferences": references or None}
    return client.patch("pods", *key(pod), {"metadata": metadata})
