"""What the orchestrator remembers: the queue, the Db and the history, behind one interface.

``base`` is the interface, ``memory`` forgets with the process, ``sqlite`` does not. Nothing here decides anything:
a store keeps, finds, claims, and refuses a write that was decided on an older version.
"""

from orchestrator.store.base import Conflict, Outcome, Store
from orchestrator.store.memory import MemoryStore
from orchestrator.store.sqlite import open_store

__all__ = ["Conflict", "MemoryStore", "Outcome", "Store", "open_store"]
