"""Volumes of pods as folders."""

from adapter_devcluster.node.volumes.pod_volumes import MissingImage, PodVolumes, VolumeContext, VolumeSource
from adapter_devcluster.node.volumes.projection import Tokens, VolumeError

__all__ = ["MissingImage", "PodVolumes", "Tokens", "VolumeContext", "VolumeError", "VolumeSource"]
