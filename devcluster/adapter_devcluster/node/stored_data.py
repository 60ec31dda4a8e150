"""What config maps and secrets hold."""

from __future__ import annotations

import base64

from adapter_devcluster.objects import Object


def data_of(obj: Object) -> dict[str, bytes]:
    """Return keys and values of a ConfigMap or a Secret, as bytes."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    if obj.get("kind") == "Secret":
        return {name: base64.b64decode(value) for name, value in data.items()}
    plain = {name: str(value).encode() for name, value in data.items()}
    return plain | {name: base64.b64decode(value) for name, value in binary.items()}
