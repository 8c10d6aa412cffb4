"""Random canvases by the hundred thousand against the naive evaluator, on all processors, for `make fuzz`: python tests/fuzz.py --help.

Compared are values, states, arguments, callbacks and, where nobody dies, how often each task was started: eagerly, in memory, on servers,
calmly and under duplicates and crashes (tests/support/flow_trial.py says how). Whatever goes wrong is printed with the seed that makes it
go wrong again: `python tests/fuzz.py --again KIND SETTING SEED`.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from backbeat.canvas.sql.engine import open_engine

from support import servers
from support.backends import MemoryBackend, RedisBackend, SqlBackend
from support.flow_trial import SETTINGS, SPLIT_SETTINGS, eager_app, settle_eagerly, settle_one
from support.split_backend import SplitBackend, memory_broker

EAGER = "eager"
SHARES = {
    EAGER: 0.45,
    "memory": 0.5,
    "split-memory": 0.04,
    "redis": 0.005,
    "sqlite": 0.003,
    "postgres": 0.002,
}
"""Of all canvases, by where they run; those that do not run eagerly are spread over the settings."""
CHUNK = 250
"""Canvases that a process takes at once in memory; on servers, where each takes longer, a tenth of it."""
TOLD = 5_000
"""After so many canvases there is a line about it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Canvases of one kind in one setting; each has a seed of its own."""

    kind: str
    setting: str
    seeds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a chunk: seconds, and a line for each canvas that went wrong."""

    chunk: Chunk
    seconds: float
    wrong: tuple[str, ...]


def chunks_of(plans: int, seed: str) -> list[Chunk]:
    """All canvases; those on servers first, as each of them waits the longest."""
    found = []
    for kind, share in reversed(SHARES.items()):
        settings = ["calm"] if kind == EAGER else list(SETTINGS)
        size = CHUNK if kind in (EAGER, "memory", "split-memory") else CHUNK // 10
        for setting in settings:
            seeds = [
                f"{seed}/{kind}/{setting}/{number}" for number in range(round(plans * share / len(settings)))
            ]
            found += [Chunk(kind, setting, tuple(seeds[i : i + size])) for i in range(0, len(seeds), size)]
    return found


def compare(chunk: Chunk) -> Compared:
    """Run all canvases of a chunk, in this process."""
    started, wrong = time.monotonic(), []
    with place(chunk.kind) as run:
        for seed in chunk.seeds:
            try:
                run(random.Random(seed), chunk.setting)
            except Exception as error:  # a canvas that breaks something is a canvas that went wrong
                wrong.append(f"{chunk.kind} {chunk.setting} {seed}\n    {type(error).__name__}: {error}")
    return Compared(chunk, time.monotonic() - started, tuple(wrong))


@contextmanager
def place(kind: str) -> Iterator[Any]:
    """What runs one canvas there, from a generator, in a setting."""
    with ExitStack() as opened:
        match kind:
            case "eager":
                app = eager_app()
                yield lambda rng, _: settle_eagerly(app, rng)
                return
            case "memory":
                yield lambda rng, setting: settle_one(MemoryBackend(), rng, SETTINGS[setting])
                return
            case "split-memory":
                yield lambda rng, setting: settle_one(_split(), rng, SPLIT_SETTINGS[setting])
                return
            case "sqlite":
                directory = opened.enter_context(tempfile.TemporaryDirectory(prefix="backbeat-fuzz-"))
                backend: Any = SqlBackend(open_engine(f"sqlite:///{directory}/fuzz.db"))
            case "redis":
                backend = RedisBackend(*opened.enter_context(servers.own_prefix()))
            case _:
                backend = SqlBackend(open_engine(opened.enter_context(servers.own_database(kind))))
        opened.callback(backend.close)
        yield lambda rng, setting: settle_one(backend, rng, SETTINGS[setting])


def _split() -> SplitBackend:
    store = MemoryBackend()
    return SplitBackend(memory_broker(MemoryBackend(store.clock)), store)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--plans", type=int, default=100_000, help="how many, all in all")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--again", nargs=3, metavar=("KIND", "SETTING", "SEED"), help="one canvas only")
    asked = parser.parse_args(arguments)
    if asked.again:
        kind, setting, seed = asked.again
        wrong = compare(Chunk(kind, setting, (seed,))).wrong
        print("\n".join(wrong) or "nothing is wrong with it")
        return 1 if wrong else 0
    return fuzz(asked.plans, asked.seed, asked.processes)


def fuzz(plans: int, seed: str, processes: int) -> int:
    """Compare so many, and print a row for each kind and setting; 1 if any went wrong."""
    started, rows, wrong, total = time.monotonic(), {}, [], 0
    print(f"seed {seed}, {processes} processes", flush=True)
    chunks = chunks_of(plans, seed)
    with ProcessPoolExecutor(processes, initializer=logging.disable) as pool:
        for done in as_completed([pool.submit(compare, chunk) for chunk in chunks]):
            compared = done.result()
            key = compared.chunk.kind, compared.chunk.setting
            count, seconds, bad = rows.get(key, (0, 0.0, 0))
            rows[key] = (
                count + len(compared.chunk.seeds),
                seconds + compared.seconds,
                bad + len(compared.wrong),
            )
            wrong += compared.wrong
            total += len(compared.chunk.seeds)
            if total // TOLD > (total - len(compared.chunk.seeds)) // TOLD:
                print(f"{total:>10,} compared, {time.monotonic() - started:.0f} s", flush=True)
            for line in compared.wrong:
                print(f"WRONG {line}", flush=True)
    print(f"{'where':<14}{'setting':<12}{'canvases':>10}{'wrong':>7}{'seconds':>9}")
    for (kind, setting), (count, seconds, bad) in sorted(rows.items()):
        print(f"{kind:<14}{setting:<12}{count:>10,}{bad:>7}{seconds:>9.0f}")
    print(
        f"{total:,} canvases compared in {time.monotonic() - started:.0f} s, {len(wrong)} wrong, seed {seed}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
