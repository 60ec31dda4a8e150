"""HorizontalPodAutoscalers: each metric as current value and target."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.objects import Object, section
from adapter_devcluster.presentation.columns.base import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    UNSET,
    Cell,
    Column,
    KindColumns,
    age,
    name,
    number,
    shortened,
)

_SPEC: Final = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec"
_STATUS: Final = "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus"
# Metric type: its field, whether it is named by a resource.
_SOURCES: Final = {
    "External": ("external", False),
    "Pods": ("pods", False),
    "Object": ("object", False),
    "Resource": ("resource", True),
    "ContainerResource": ("containerResource", True),
}


def _cells(obj: Object, now: int) -> list[Cell]:
    spec, status = section(obj, "spec"), section(obj, "status")
    target, minimum = section(spec, "scaleTargetRef"), spec.get("minReplicas")
    statuses = status.get("currentMetrics") or []
    metrics = [
        _metric(one, statuses[position] if position < len(statuses) else {})
        for position, one in enumerate(spec.get("metrics") or [])
    ]
    return [
        name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        shortened(metrics, 2, separator=", ") or NONE,
        UNSET if minimum is None else str(minimum),
        number(spec, "maxReplicas"),
        number(status, "currentReplicas"),
        age(obj, now),
    ]


def _metric(spec: Object, status: Object) -> str:
    kind = str(spec.get("type", ""))
    if kind not in _SOURCES:
        return "<unknown type>"
    field, by_resource = _SOURCES[kind]
    source, current = section(spec, field), section(status, field, "current")
    target = section(source, "target")
    if target.get("averageValue") is not None:
        text = f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']}"
        # The average is what a metric of pods is by nature.
        text += "" if by_resource or kind == "Pods" else " (avg)"
    elif by_resource:
        text = f"{_percent(current, UNKNOWN)}/{_percent(target, '<auto>')}"
    else:
        text = f"{current.get('value', UNKNOWN)}/{target.get('value', '0')}"
    return f"{source.get('name', '')}: {text}" if by_resource else text


def _percent(found: Object, absent: str) -> str:
    value = found.get("averageUtilization")
    return absent if value is None else f"{value}%"


COLUMNS: Final = {
    ("autoscaling", "HorizontalPodAutoscaler"): KindColumns(
        (
            NAME,
            Column("Reference", (_SPEC, "scaleTargetRef")),
            Column("Targets", (_SPEC, "metrics")),
            Column("MinPods", (_SPEC, "minReplicas")),
            Column("MaxPods", (_SPEC, "maxReplicas")),
            Column("Replicas", (_STATUS, "currentReplicas")),
            AGE,
        ),
        _cells,
    )
}
