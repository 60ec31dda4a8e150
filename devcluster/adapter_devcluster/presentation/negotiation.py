"""In which form a client wants its answer: the ``Accept`` header.

Source: ``k8s.io/apiserver/pkg/endpoints/handlers/negotiation`` (v0.36). The client's alternatives are tried in
order of their weight; one that asks for a transformation which the endpoint does not offer is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Endpoint = Literal["objects", "discovery", "plain"]
JSON: Final = "application/json"
YAML: Final = "application/yaml"

_META: Final = "meta.k8s.io"
_VIEWS: Final = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_OFFERED: Final[dict[Endpoint, frozenset[tuple[str, str, str]]]] = {
    "objects": frozenset((view, _META, version) for view in _VIEWS for version in ("v1", "v1beta1")),
    "discovery": frozenset(("APIGroupDiscoveryList", "apidiscovery.k8s.io", one) for one in ("v2", "v2beta1")),
    "plain": frozenset(),
}
# What a range or an older name of a format stands for.
_MEDIA: Final = {
    "*/*": JSON,
    "application/*": JSON,
    JSON: JSON,
    YAML: YAML,
}


@dataclass(frozen=True, slots=True)
class Presentation:
    """The form of an answer: ``media`` is JSON or YAML, ``view`` the kind asked for instead of the object's own.

    ``view`` is "" for the object as it is, else ``Table``, ``PartialObjectMetadata``,
    ``PartialObjectMetadataList`` or ``APIGroupDiscoveryList``, in ``group`` and ``version``.
    """

    media: str = JSON
    view: str = ""
    group: str = ""
    version: str = ""

    @property
    def content_type(self) -> str:
        """The answer's ``Content-Type``. Clients read in that of discovery which form they got."""
        if self.view == "APIGroupDiscoveryList":
            return f"{self.media};g={self.group};v={self.version};as={self.view}"
        return self.media


@lru_cache(maxsize=1024)
def negotiate(accept: str, endpoint: Endpoint = "objects") -> Presentation | None:
    """Choose the form of an answer; None where nothing matches (406).

    ``endpoint`` says which transformations there are: those of objects (get, list, watch), those of discovery
    (``/api`` and ``/apis``), or none.
    """
    if not accept.strip():
        return Presentation()
    for media, parameters in _alternatives(accept):
        if media not in _MEDIA:
            continue
        view = (parameters.get("as", ""), parameters.get("g", ""), parameters.get("v", ""))
        if not any(view):
            return Presentation(_MEDIA[media])
        if view in _OFFERED[endpoint]:
            return Presentation(_MEDIA[media], *view)
    return None


def _alternatives(accept: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield media types with their parameters, the heaviest first, exact types before ranges."""
    found = []
    for clause in accept.split(","):
        media, *rest = (part.strip() for part in clause.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        try:
            weight = float(parameters.pop("q", "1"))
        except ValueError:
            weight = 1.0
        found.append((-weight, media.count("*"), media, parameters))
    found.sort(key=lambda one: one[:2])
    return ((media, parameters) for _, _, media, parameters in found)
