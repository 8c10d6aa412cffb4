"""The records of chains and joins in a Redis, as they are read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..continuation import ChainRecord
from ..flow import chain_needed
from ..redis_client import Redis
from . import records
from .base import JoinState, Loaded
from .redis_keys import RedisKeys

GATHER_SLICE = 5_000
"""Parts that are read in one command: the server serves nobody else meanwhile (decisions K19)."""


def load(client: Redis, keys: RedisKeys, chains: Collection[str], joins: Collection[str]) -> Loaded:
    """See base.Commit."""
    found = _chains(client, keys, chains)
    return Loaded(found, {id_: state for id_ in joins if (state := _join(client, keys, id_)) is not None})


def _chains(client: Redis, keys: RedisKeys, ids: Collection[str]) -> dict[str, ChainRecord]:
    found: dict[str, ChainRecord] = {}
    wanted = sorted(set(ids))
    while wanted:
        texts: Any = client.mget([keys.own(f"chain:{id_}") for id_ in wanted])
        loaded = [records.chain_from_text(text) for text in texts if text is not None]
        found |= {record.chain_id: record for record in loaded}
        below = {chain_needed(record.below) for record in loaded}
        wanted = sorted(id_ for id_ in below if id_ is not None and id_ not in found)
    return found


def _join(client: Redis, keys: RedisKeys, id_: str) -> JoinState | None:
    pipeline = client.pipeline(transaction=False)
    pipeline.hmget(keys.own(f"join:{id_}"), ["record", "size", "closed"])
    pipeline.hlen(keys.own(f"part:{id_}"))
    (record, size, closed), count = pipeline.execute()
    if record is None:
        return None
    parts = [
        records.part_from_text(int(index), text) for index, text in _parts(client, keys, id_, count).items()
    ]
    is_complete = closed is None and size is not None and len(parts) >= int(size)
    return JoinState(records.join_from_text(record), parts, is_complete)


def _parts(client: Redis, keys: RedisKeys, id_: str, count: int) -> dict[bytes, bytes]:
    key = keys.own(f"part:{id_}")
    if count > GATHER_SLICE:
        return dict(client.hscan_iter(key, count=GATHER_SLICE))
    parts: Any = client.hgetall(key)
    return dict(parts)
