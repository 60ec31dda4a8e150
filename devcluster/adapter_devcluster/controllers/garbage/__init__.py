"""The garbage collector: objects go with their last owner, and owners wait for theirs or leave them behind.

Source of all modules here: ``pkg/controller/garbagecollector``, v1.36. Upstream keeps a node for every object;
here only objects that have owners, and owners that wait, are kept, and whether an owner lives is read when it
matters: that is a look into a dictionary of the same process.
"""

from __future__ import annotations

from adapter_devcluster.controllers.garbage.controller import GarbageCollector

__all__ = ["GarbageCollector"]
