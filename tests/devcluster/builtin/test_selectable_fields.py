from __future__ import annotations

import pytest

from adapter_devcluster.builtin.selectable_fields import selectable_view
from adapter_devcluster.objects import Object
from adapter_devcluster.selectors import parse_field_selector
from adapter_testing.judge_lab import created, job, manifest, pod, type_of

pytestmark = pytest.mark.unit

EVENT = created(
    manifest(
        "v1",
        "Event",
        involvedObject={"kind": "Pod", "name": "p", "namespace": "ns"},
        source={"component": "c"},
        reportingComponent="r",
    )
)
NEW_EVENT = manifest("events.k8s.io/v1", "Event")


@pytest.mark.parametrize(
    ("kind", "stored", "text", "selected"),
    [
        (EVENT, EVENT, "source=c,involvedObject.name=p", True),
        (EVENT, {**EVENT, "source": {}}, "source=r", True),
        (NEW_EVENT, EVENT, "regarding.name=p,reportingController=r", True),
        (NEW_EVENT, EVENT, "regarding.name=q", False),
        (job(), created(job()), "status.successful=0", True),
        (job(), {**created(job()), "status": {"succeeded": 2}}, "status.successful=2", True),
        (manifest("v1", "Node"), created(manifest("v1", "Node")), "spec.unschedulable=false", True),
        (pod(), created(pod(hostNetwork=True)), "spec.hostNetwork=false", False),
        (pod(), created(pod()), "spec.hostNetwork=false,status.phase=Pending", True),
        (manifest("v1", "Secret"), created(manifest("v1", "Secret")), "type=Opaque", True),
    ],
)
def test_what_field_selectors_see(kind: Object, stored: Object, text: str, *, selected: bool) -> None:
    found = type_of(kind)
    view = selectable_view(found)(stored)
    assert all(one.matches(view) for one in parse_field_selector(text, found.selectable_fields)) is selected
