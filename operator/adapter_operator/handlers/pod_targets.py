"""What is asked of a pod, by what runs in it."""

from adapter_contract.pods import ADAPTERS_PATH, MANAGEMENT_PORT, PROGRESS_PATH
from adapter_operator.api.v1alpha1.labels import DEPLOYMENT, TRAINING
from adapter_operator.runtime.objects import Object, uid_of
from adapter_operator.runtime.pod_streams import StreamTarget


def stream_target(pod: Object) -> StreamTarget | None:
    """Where to ask a pod, and for what; None while it does not run or is none of ours."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    labels = metadata.get("labels") or {}
    address = status.get("podIP")
    path = PROGRESS_PATH if TRAINING in labels else ADAPTERS_PATH if DEPLOYMENT in labels else None
    if path is None or not address or status.get("phase") != "Running":
        return None
    return StreamTarget(
        uid=uid_of(pod),
        namespace=metadata["namespace"],
        name=metadata["name"],
        address=address,
        port=MANAGEMENT_PORT,
        path=path,
        incarnation="/".join(str(one.get("restartCount", 0)) for one in status.get("containerStatuses") or ()),
    )
