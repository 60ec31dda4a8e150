"""What the families of columns share: how a column is declared and how common cells are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.objects import Object, meta, section
from adapter_devcluster.presentation.published_schemas import META, description
from adapter_devcluster.selectors import selector_text

Cell: TypeAlias = str | int | float | bool | None
NONE: Final = "<none>"
UNSET: Final = "<unset>"
UNKNOWN: Final = "<unknown>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``about`` is what it says of itself, or the definition and the field whose description that is.

    ``wide`` columns show with ``-o wide`` only.
    """

    name: str
    about: str | tuple[str, str]
    type: str = "string"
    wide: bool = False
    format: str = ""

    def definition(self) -> Object:
        """Return the entry of ``columnDefinitions``."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.about if isinstance(self.about, str) else description(*self.about),
            "priority": 1 if self.wide else 0,
        }


@dataclass(frozen=True, slots=True)
class KindColumns:
    """The columns of a kind. ``cells`` takes an object and now, in nanoseconds since 1970.

    ``conditions`` says of a row what a client may want to hide it for.
    """

    columns: tuple[Column, ...]
    cells: Callable[[Object, int], list[Cell]]
    conditions: Callable[[Object], list[Object]] | None = None


NAME: Final = Column("Name", (f"{META}ObjectMeta", "name"), format="name")
AGE: Final = Column("Age", (f"{META}ObjectMeta", "creationTimestamp"))
CONTAINERS: Final = (
    Column("Containers", "Names of each container in the template.", wide=True),
    Column("Images", "Images referenced by each container in the template.", wide=True),
)


def name(obj: Object) -> str:
    """Return the object's name."""
    return str(meta(obj).get("name", ""))


def age(obj: Object, now: int) -> str:
    """Return how long ago the object was created."""
    return since(meta(obj).get("creationTimestamp"), now)


def since(timestamp: str | None, now: int) -> str:
    """Return how long ago something was."""
    return go_time.human_duration(now - go_time.parse_date_time(timestamp)) if timestamp else UNKNOWN


def number(found: Mapping[str, Any], field: str) -> int:
    """Return a whole number, 0 where there is none."""
    value = found.get(field)
    return value if isinstance(value, int) else 0


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Write labels (``labels.FormatLabels``)."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def label_selector_text(selector: Mapping[str, Any] | None) -> str:
    """Write a label selector (``metav1.FormatLabelSelector``)."""
    return selector_text(selector or {}) or NONE


def container_cells(pod_spec: Object) -> list[Cell]:
    """Return the names and the images of a pod template's containers."""
    containers = pod_spec.get("containers") or []
    return [",".join(str(one.get(field, "")) for one in containers) for field in ("name", "image")]


def template_cells(obj: Object) -> list[Cell]:
    """Return the names and the images of the containers in ``spec.template``."""
    return container_cells(section(obj, "spec", "template", "spec"))


def shortened(parts: Sequence[str], limit: int, *, separator: str = ",") -> str:
    """Join the first parts and count the others."""
    text = separator.join(parts[:limit])
    return f"{text} + {len(parts) - limit} more..." if len(parts) > limit else text


def condition_status(conditions: Iterable[Object] | None, kind: str) -> str | None:
    """Return the status of a condition, None where it is absent."""
    return next((str(one.get("status")) for one in conditions or () if one.get("type") == kind), None)


def true_or_false(value: bool | None) -> str:
    """Write an optional boolean."""
    return UNSET if value is None else ("True" if value else "False")
