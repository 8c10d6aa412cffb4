"""The records of chains and joins in a Redis, as they are read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..continuation import ChainRecord, chain_needed
from ..plan import Plan, plan_from_text
from ..redis_client import Redis
from . import records
from .base import JoinState, Loaded, chains_after
from .redis_keys import RedisKeys

GATHER_SLICE = 5_000
"""Parts that are read in one command: the server serves nobody else meanwhile (decisions K19)."""


def load(
    client: Redis, keys: RedisKeys, chains: Collection[str], joins: Collection[str], plans: Collection[str]
) -> Loaded:
    """See base.Commit."""
    states = {id_: state for id_ in joins if (state := _join(client, keys, id_)) is not None}
    wanted = {*chains, *chains_after(states.values())}
    return Loaded(_chains(client, keys, wanted), states, _plans(client, keys, plans) if plans else [])


def _plans(client: Redis, keys: RedisKeys, ids: Collection[str]) -> list[Plan]:
    wanted = list(dict.fromkeys(ids))
    found: Any = client.mget([keys.own(f"canvas:{id_}") for id_ in wanted])
    roots = dict.fromkeys(root.decode() if root else id_ for id_, root in zip(wanted, found, strict=True))
    texts: list[bytes] = []
    for root in roots:
        by_canvas: Any = client.hgetall(keys.own(f"plan:{root}"))
        texts += by_canvas.values()
    return [plan_from_text(text) for text in texts]


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
    pipeline.hmget(keys.own(f"join:{id_}"), ["record", "size", "closed", "generation"])
    pipeline.hlen(keys.own(f"part:{id_}"))
    (record, size, closed, generation), count = pipeline.execute()
    if record is None:
        return None
    parts = [
        records.part_from_text(int(index), text) for index, text in _parts(client, keys, id_, count).items()
    ]
    is_complete = closed is None and size is not None and len(parts) >= int(size)
    join = records.join_from_text(record)
    return JoinState(join, parts, is_complete, closed is not None, int(generation or 0))


def _parts(client: Redis, keys: RedisKeys, id_: str, count: int) -> dict[bytes, bytes]:
    key = keys.own(f"part:{id_}")
    if count > GATHER_SLICE:
        return dict(client.hscan_iter(key, count=GATHER_SLICE))
    parts: Any = client.hgetall(key)
    return dict(parts)
