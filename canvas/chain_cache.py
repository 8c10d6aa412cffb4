"""ChainCache: the chain records that a worker has read. They never change, so what was read once is read for good."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from .commit.base import Commit
from .continuation import ChainRecord, Continuation, chain_needed

CHAINS_KEPT = 1_000
"""Records kept by a worker; the one that was not needed for longest goes first."""


class ChainCache:
    """Chain records of the store of `commit`. Not thread-safe."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._chains: OrderedDict[str, ChainRecord] = OrderedDict()

    def needed(self, then: Continuation | None) -> dict[str, ChainRecord]:
        """What flow needs to go on to `then`: that chain's record and those below it, as far as the store has them."""
        wanted = chain_needed(then)
        if wanted is None:
            return {}
        if wanted not in self._chains:
            self.learn(self._commit.load(chains=[wanted]).chains)
        return dict(self._with_below(wanted))

    def learn(self, chains: Mapping[str, ChainRecord]) -> None:
        """These were read with something else."""
        self._chains.update(chains)
        while len(self._chains) > CHAINS_KEPT:
            self._chains.popitem(last=False)

    def _with_below(self, id_: str) -> Iterator[tuple[str, ChainRecord]]:
        wanted: str | None = id_
        while wanted is not None and wanted in self._chains:
            self._chains.move_to_end(wanted)
            yield wanted, self._chains[wanted]
            wanted = chain_needed(self._chains[wanted].below)
