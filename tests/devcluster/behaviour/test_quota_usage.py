"""What objects take of a quota, and how sums of quantities are written."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.builtin.quantities import canonical, value_of
from adapter_devcluster.quotas.amounts import largest, minus, only, plus, written
from adapter_devcluster.quotas.usage import missing_requests, pod_amounts, resources_counted, usage_of

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("first", "second", "total"),
    [
        ("0", "1Gi", "1Gi"),
        ("500m", "0", "500m"),
        ("500m", "500m", "1"),
        ("512Mi", "512Mi", "1Gi"),
        ("1Gi", "-1Gi", "0"),
        ("1Ki", "1", "1025"),
        ("1k", "24", "1024"),
        ("1", "1Gi", "1073741825"),
    ],
)
def test_sums(first: str, second: str, total: str) -> None:
    assert plus({"a": first}, {"a": second}) == {"a": total}


def test_sets_of_quantities() -> None:
    assert plus({"a": "1"}, {"b": "2"}) == {"a": "1", "b": "2"}
    assert minus({"a": "3"}, {"a": "1", "b": "-2"}) == {"a": "2", "b": "2"}
    assert largest([{"a": "1", "b": "2"}, {"a": "1500m"}]) == {"a": "1500m", "b": "2"}
    assert only({"a": "1", "b": "2"}, ["b", "c"]) == {"b": "2"}
    assert written({"b": "2", "a": "1"}) == "a=1,b=2"


QUANTITIES = st.builds("{}{}".format, st.integers(0, 10_000), st.sampled_from(["m", "", "k", "Ki", "Mi"])).map(
    canonical
)


@given(QUANTITIES, QUANTITIES)
def test_a_sum_is_worth_its_parts_and_written_as_a_server_writes(first: str, second: str) -> None:
    total = plus({"a": first}, {"a": second})["a"]
    assert value_of(total) == value_of(first) + value_of(second)
    assert total == canonical(total)


def asks(**requests: str) -> dict[str, object]:
    return {"name": "c", "resources": {"requests": requests}}


def test_pods_with_sidecars_and_overhead() -> None:
    sidecar = {**asks(cpu="1"), "restartPolicy": "Always"}
    spec = {"containers": [asks(cpu="2")], "initContainers": [sidecar, asks(cpu="4")], "overhead": {"cpu": "100m"}}
    assert pod_amounts({"spec": spec}, "requests") == {"cpu": "5100m"}
    assert pod_amounts({"spec": {**spec, "initContainers": [sidecar]}}, "requests") == {"cpu": "3100m"}
    assert pod_amounts({"spec": spec}, "limits") == {}
    whole = {**spec, "resources": {"requests": {"cpu": "9"}}}
    assert pod_amounts({"spec": whole}, "requests") == {"cpu": "9100m"}
    assert missing_requests({"spec": whole}, {"limits.cpu": "1"}) == ""


def test_a_pod_past_its_grace_takes_nothing() -> None:
    pod = {"metadata": {"deletionTimestamp": "2025-12-31T23:59:59Z"}, "spec": {"containers": [asks(cpu="1")]}}
    assert usage_of("pods", pod, NOW) == {"count/pods": "1"}
    pod["metadata"] = {"deletionTimestamp": "2026-01-01T00:00:01Z"}
    taken = {"count/pods": "1", "pods": "1", "cpu": "1", "requests.cpu": "1"}
    assert usage_of("pods", pod, NOW) == taken


def test_claims_of_a_class_count_for_it() -> None:
    claim = {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}}
    assert usage_of("persistentvolumeclaims", claim, NOW) == {
        "count/persistentvolumeclaims": "1",
        "persistentvolumeclaims": "1",
        "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "fast.storageclass.storage.k8s.io/requests.storage": "1Gi",
        "requests.storage": "1Gi",
    }
    bare = usage_of("persistentvolumeclaims", {"spec": {}}, NOW)
    assert bare == {"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1"}


def test_what_a_quota_counts() -> None:
    hard = ["count/jobs.batch", "secrets", "services.nodeports", "requests.storage", "cpu"]
    hard.append("fast.storageclass.storage.k8s.io/requests.storage")
    assert resources_counted(dict.fromkeys(hard, "1")) == {
        "jobs.batch", "secrets", "services", "persistentvolumeclaims", "pods",
    }  # fmt: skip
