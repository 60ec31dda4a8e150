"""Scheduler and kubelet in one process: pods run as processes of this machine. Linux only."""

from adapter_devcluster.node.config import NodeConfig
from adapter_devcluster.node.images import ImageCommand
from adapter_devcluster.node.node import Node, NodeError

__all__ = ["ImageCommand", "Node", "NodeConfig", "NodeError"]
