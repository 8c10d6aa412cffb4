"""`python -m chaos canvases`: stacks whose broker and database are restarted while canvases run; ends with 1 where a bar is not met."""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support.stacks import Stack

from ..bar import Bar, show
from ..own_server import SQL, OwnServer
from . import tasks
from .siege import Outcome, Siege

STACKS = ("redis", "postgres", "rabbitmq+postgres")
LEAST_CANVASES = 2_000


@contextmanager
def open_stack(name: str) -> Iterator[tuple[Stack, list[OwnServer]]]:
    """A stack with servers of its own; all of it ends with the block."""
    with ExitStack() as lent:
        servers = [OwnServer(kind) for kind in name.split("+")]
        for server in servers:
            lent.callback(server.close)
        urls = [server.create_database("chaos") if server.kind in SQL else server.url() for server in servers]
        stack = Stack(name, urls[0], urls[-1], tasks.NAME)
        lent.callback(stack.app.close)
        yield stack, servers


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code."""
    options = _parse(arguments)
    seed = options.seed if options.seed is not None else secrets.randbits(32)
    print(f"seed {seed}", flush=True)
    outcomes: list[Outcome] = []
    for name in options.only.split(","):
        with (
            open_stack(name) as (stack, servers),
            tempfile.TemporaryDirectory(prefix="backbeat-chaos-") as home,
        ):
            draw, logs = random.Random(f"{seed} {name}"), options.out.parent / f"chaos-canvases-{name}"
            siege = Siege(stack, servers, Path(home), draw, logs=logs)
            outcomes.append(siege.run(options.seconds, per_second=options.rate))
        print(line(outcomes[-1]), *outcomes[-1].troubles[:20], sep="\n", flush=True)
    result = document(outcomes, seed=seed)
    show(result["bars"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {options.out}")
    return int(not all(bar["is_met"] for bar in result["bars"]))


def line(outcome: Outcome) -> str:
    """All of it in a line."""
    restarts = ", ".join(f"{count} of {kind}" for kind, count in sorted(outcome.restarts.items()))
    return (
        f"{outcome.stack}: {outcome.canvases:,} canvases, {outcome.failed:,} of them to fail, {restarts} restarts in "
        f"{outcome.seconds:.0f} s, {outcome.refused} sends repeated, all settled {outcome.longest_seconds:.1f} s after the last, "
        f"{len(outcome.troubles)} troubles"
    )


def bars(outcomes: Sequence[Outcome]) -> list[Bar]:
    """What must be so, over all stacks."""
    canvases = sum(outcome.canvases for outcome in outcomes)
    troubles = sum(len(outcome.troubles) for outcome in outcomes)
    return [
        Bar("canvases", canvases, f">= {LEAST_CANVASES:,}", canvases >= LEAST_CANVASES),
        Bar("not settled, wrong, changed or left", troubles, "0", troubles == 0),
    ]


def document(outcomes: Sequence[Outcome], *, seed: int) -> dict[str, Any]:
    """All figures as JSON data."""
    return {
        "seed": seed,
        "load_average": round(os.getloadavg()[2], 1),
        "processors": os.cpu_count(),
        "bars": [asdict(bar) for bar in bars(outcomes)],
        "rows": [asdict(outcome) for outcome in outcomes],
    }


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos canvases", description=__doc__)
    parser.add_argument("--seed", type=int, help="default: drawn")
    parser.add_argument("--only", default=",".join(STACKS), help=f"stacks, of {','.join(STACKS)}")
    parser.add_argument("--seconds", type=float, default=600, help="of fire, on each stack")
    parser.add_argument("--rate", type=float, default=4.0, help="canvases in a second, on average")
    parser.add_argument("--out", type=Path, default=Path("var/chaos-canvases.json"))
    options = parser.parse_args(arguments)
    if unknown := set(options.only.split(",")) - set(STACKS):
        parser.error(f"there is no stack {', '.join(sorted(unknown))}: choose from {', '.join(STACKS)}")
    return options
