"""What the orchestrator remembers: the queue, the Db and the history, behind one interface.

``base`` is the interface, ``sqlite`` keeps it in a file or, for as long as the process lives, in memory. Nothing here
decides anything: a store keeps, finds, claims, and refuses a write that was decided on an older version.
"""

from orchestrator.store.base import HISTORY, Conflict, HistoryTrimmed, Outcome, Store
from orchestrator.store.sqlite import MemoryStore, open_store

__all__ = ["HISTORY", "Conflict", "HistoryTrimmed", "MemoryStore", "Outcome", "Store", "open_store"]
