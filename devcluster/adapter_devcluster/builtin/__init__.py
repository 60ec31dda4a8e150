"""The built-in resource types: what is served, and how their objects are taken in.

`BUILTIN` lists the types, `judge_for` gives the judge of one. Definitions and decoders are made when they are
first needed.
"""

from __future__ import annotations

from adapter_devcluster.builtin.addresses import ClusterIps, NodePorts, TakenError
from adapter_devcluster.builtin.catalogue import BUILTIN
from adapter_devcluster.builtin.definitions import definition, definition_of
from adapter_devcluster.builtin.namespaces import PROTECTED_NAMESPACES
from adapter_devcluster.builtin.pods import graceful_seconds
from adapter_devcluster.builtin.revisions import with_sent_data
from adapter_devcluster.builtin.strategies import judge_for

__all__ = [
    "BUILTIN",
    "PROTECTED_NAMESPACES",
    "ClusterIps",
    "NodePorts",
    "TakenError",
    "definition",
    "definition_of",
    "graceful_seconds",
    "judge_for",
    "with_sent_data",
]
