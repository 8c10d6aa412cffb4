"""`python -m chaos senders`: many processes that send one task with one key, over all stacks; they must get handles of one id, which runs once.

The processes are those of support/unique_senders.py; no worker runs until all have sent. `race` is also the short form, which the tests take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from support.drain import drain
from support.processes import TESTS
from support.servers import own_database, own_vhost
from support.stacks import own_redis_database
from support.unique_senders import make_app

from .bar import Bar, show

STACKS = ("sqlite", "postgres", "mariadb", "redis", "rabbitmq+postgres")
SECONDS = 900.0
"""Deadline for all to have sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """What came of one: how many handles there were, of how many ids, and how often something ran."""

    stack: str
    children: int
    sends: int
    handles: int
    ids: int
    runs: int
    strangers: int
    """Runs of an id that no handle has."""
    seconds: float


def race(stack: str, directory: Path, *, children: int, sends: int) -> Race:
    """Let `children` processes send one key `sends` times each, and then run what there is to run."""
    with ExitStack() as lent:
        urls = [_lend(server, directory, lent) for server in stack.split("+")]
        broker, backend = urls[0], urls[-1]
        told = subprocess.run(
            [sys.executable, "-m", "support.unique_senders", broker, backend, str(children), str(sends)],
            cwd=TESTS,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
        )
        with closing(make_app(broker, backend)) as app:
            ran = drain(app, bool)
    said = json.loads(told.stdout)
    ids: Counter[str] = Counter(said["ids"])
    return Race(
        stack=stack,
        children=children,
        sends=sends,
        handles=ids.total(),
        ids=len(ids),
        runs=len(ran),
        strangers=len(set(ran) - ids.keys()),
        seconds=said["seconds"],
    )


def _lend(server: str, directory: Path, lent: ExitStack) -> str:
    match server:
        case "redis":
            return lent.enter_context(own_redis_database())
        case "rabbitmq":
            return lent.enter_context(own_vhost())
        case "sqlite":
            return f"sqlite:///{directory}/race.db"
        case _:
            return lent.enter_context(own_database(server))


def bars(races: Sequence[Race]) -> list[Bar]:
    """What must be so, over all of them."""
    named = {
        "handles too few or too many": sum(abs(each.children * each.sends - each.handles) for each in races),
        "ids besides the one": sum(abs(each.ids - 1) for each in races),
        "runs besides the one": sum(abs(each.runs - 1) for each in races),
        "runs of an id that no handle has": sum(each.strangers for each in races),
    }
    return [Bar(name, count, "0", count == 0) for name, count in named.items()]


def document(races: Sequence[Race]) -> dict[str, Any]:
    """All figures as JSON data."""
    return {
        "load_average": round(os.getloadavg()[2], 1),
        "processors": os.cpu_count(),
        "bars": [asdict(bar) for bar in bars(races)],
        "rows": [asdict(each) for each in races],
    }


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code."""
    parser = argparse.ArgumentParser(prog="chaos senders", description=__doc__)
    parser.add_argument("--only", default=",".join(STACKS), help=f"stacks, of {','.join(STACKS)}")
    parser.add_argument("--children", type=int, default=50, help="processes that send at once")
    parser.add_argument("--sends", type=int, default=1_000, help="by each")
    parser.add_argument("--out", type=Path, default=Path("var/chaos-senders.json"))
    options = parser.parse_args(arguments)
    races = []
    for stack in options.only.split(","):
        if stack not in STACKS:
            parser.error(f"there is no stack {stack!r}: choose from {', '.join(STACKS)}")
        with tempfile.TemporaryDirectory(prefix="backbeat-chaos-") as directory:
            found = race(stack, Path(directory), children=options.children, sends=options.sends)
        print(found, flush=True)
        races.append(found)
    result = document(races)
    show(result["bars"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {options.out}")
    return int(not all(bar["is_met"] for bar in result["bars"]))
