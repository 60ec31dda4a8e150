"""Objects in memory with revisions, their history and who watches them. Knows nothing of kinds."""

from __future__ import annotations

from adapter_devcluster.storage.store import Event, Item, Store, Table, TooOldError, Watcher

__all__ = ["Event", "Item", "Store", "Table", "TooOldError", "Watcher"]
