"""Wiring of the registry and of deliveries: which implementations go with which store."""

from __future__ import annotations

from .base import Store, StoreRefused
from .deliveries import Deliveries
from .registry import Chores, Records, Registry


def registry_of(store: Store) -> tuple[Registry, Records, Chores]:
    """What operators and a leader need of `store` besides Store itself.

    Raises StoreRefused for a class of store that has none.
    """
    from .memory import MemoryStore

    if isinstance(store, MemoryStore):
        from .registry_memory import MemoryRegistry

        memory = MemoryRegistry(store)
        return memory, memory, memory
    from .chores_sql import SqlChores
    from .records_sql import SqlRecords
    from .registry_sql import SqlRegistry
    from .sql import SqlStore

    if isinstance(store, SqlStore):
        return SqlRegistry(store), SqlRecords(store), SqlChores(store)
    raise StoreRefused(f"a {type(store).__name__} keeps no registry")


def deliveries_of(store: Store) -> Deliveries:
    """What is to be told to somebody outside, as `store` keeps it. Raises StoreRefused as `registry_of`."""
    from .memory import MemoryStore

    if isinstance(store, MemoryStore):
        from .deliveries_memory import MemoryDeliveries

        return MemoryDeliveries(store)
    from .deliveries_sql import SqlDeliveries
    from .sql import SqlStore

    if isinstance(store, SqlStore):
        return SqlDeliveries(store)
    raise StoreRefused(f"a {type(store).__name__} keeps no deliveries")
