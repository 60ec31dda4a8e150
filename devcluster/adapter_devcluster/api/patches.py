"""PATCH: which kind of patch a body is, and what it makes of an object."""

from __future__ import annotations

from typing import Any, Final

from adapter_devcluster.api.registry import Served
from adapter_devcluster.objects import Object
from adapter_devcluster.patching.json_patch import json_patch
from adapter_devcluster.patching.merge import merge_patch
from adapter_devcluster.patching.strategic import strategic_patch
from adapter_devcluster.statuses import bad_request, unsupported_media_type

MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
PATCH_TYPES: Final = (JSON, MERGE, STRATEGIC, APPLY)


def check_patch_type(served: Served, content_type: str) -> None:
    """Refuse what can't be a patch of this resource. Raises StatusError (415)."""
    supported = [one for one in PATCH_TYPES if one != STRATEGIC or not served.custom]
    if content_type not in supported:
        raise unsupported_media_type(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
        )


def patched(served: Served, obj: Object, patch: Any, content_type: str) -> Object:  # noqa: ANN401 - a body of any kind
    """Apply a patch other than server-side apply. Raises StatusError."""
    if content_type == JSON:
        return json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}")
    if content_type == MERGE:
        return merge_patch(obj, patch)
    return strategic_patch(obj, patch, served.shape)
