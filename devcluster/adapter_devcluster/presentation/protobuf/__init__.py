"""Request bodies in Kubernetes' protobuf encoding, as clients in Go send them for built-in kinds."""

from __future__ import annotations

from adapter_devcluster.presentation.protobuf.messages import MEDIA_TYPE, decode
from adapter_devcluster.presentation.protobuf.wire import ProtobufError

__all__ = ["MEDIA_TYPE", "ProtobufError", "decode"]
