"""`python -m chaos workers`: all stacks, or some, under fire; writes the figures down and ends with 1 where a bar is not met."""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import secrets
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..bar import show
from .arena import STACKS, Arena, open_arena
from .report import document, lines, row
from .scenario import KINDS, Outcome, Setting, run_one

RESTARTS = {"redis": 1.0, "postgres": 0.3, "rabbitmq+postgres": 0.1}
"""The share of the restarts that each stack gets: a RabbitMQ needs some ten seconds to start."""
RESTART_LEASE_SECONDS = 10.0
"""Where only the broker falls nothing may run twice, so the lease must outlast it; ten seconds are the default."""


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code."""
    options = _parse(arguments)
    seed = options.seed if options.seed is not None else secrets.randbits(32)
    chosen = [(stack, kind) for stack in options.only for kind in options.fire]
    print(f"seed {seed}, lease of {options.lease:g} s, {len(chosen)} runs", flush=True)
    rows, is_broken = _kept(options, chosen), False
    for stack in options.only:
        with open_arena(stack) as arena:
            for kind in options.fire:
                if kind == "restarts" and arena.broker is None:
                    print(f"{stack}: the broker is not ours to restart")
                    continue
                outcome = _run(arena, kind, options, seed)
                is_broken = is_broken or outcome is None
                rows += [row(outcome, seed=seed)] if outcome else []
    rows.sort(key=lambda each: (KINDS.index(each["name"]), STACKS.index(each["stack"])))
    is_whole = len(rows) == len(STACKS) * len(KINDS)
    result = document(rows, seed=seed, lease_seconds=options.lease, is_whole=is_whole)
    show(result["bars"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {options.out}")
    return int(is_broken or not all(bar["is_met"] for bar in result["bars"]))


def _kept(options: argparse.Namespace, chosen: Sequence[tuple[str, str]]) -> list[Any]:
    """With --add: the rows of the last run that are not run now."""
    if not options.add:
        return []
    return [
        each
        for each in json.loads(options.out.read_text())["rows"]
        if (each["stack"], each["name"]) not in chosen
    ]


def _run(arena: Arena, kind: str, options: argparse.Namespace, seed: int) -> Outcome | None:
    name, count = arena.stack.name, vars(options)[kind]
    share = {"restarts": RESTARTS[name], "poison": 1.0}.get(kind, 1 / len(STACKS))
    setting = Setting(
        name=kind,
        **{kind: math.ceil(count * share)},
        lease_seconds=RESTART_LEASE_SECONDS if kind == "restarts" else options.lease,
        per_second=options.rate,
        seconds=options.seconds,
    )
    logs = options.out.parent / f"chaos-workers-{name}-{kind}"
    with tempfile.TemporaryDirectory(prefix="backbeat-chaos-") as directory:
        try:
            outcome = run_one(
                arena, Path(directory), setting, random.Random(f"{seed} {name} {kind}"), logs=logs
            )
        except Exception:
            print(f"{name}, {kind}: BROKEN", flush=True)
            traceback.print_exc()
            return None
    print("\n".join(lines(outcome)), flush=True)
    return outcome


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos workers", description=__doc__)
    parser.add_argument("--seed", type=int, help="default: drawn")
    parser.add_argument("--only", type=_names(STACKS), default=STACKS, help=f"stacks, of {','.join(STACKS)}")
    parser.add_argument("--fire", type=_names(KINDS), default=KINDS, help=f"of {','.join(KINDS)}")
    parser.add_argument("--kills", type=int, default=201, help="SIGKILLs, over all stacks")
    parser.add_argument(
        "--rolls", type=int, default=102, help="of all workers, stopped and started anew, over all stacks"
    )
    parser.add_argument("--restarts", type=int, default=100, help="of Redis; fewer of the others")
    parser.add_argument(
        "--poison", type=int, default=60, help="messages, of all kinds in turn, on each stack"
    )
    parser.add_argument("--lease", type=float, default=2.0, help="of claims, in seconds, but for restarts")
    parser.add_argument("--rate", type=float, default=10.0, help="orders in a second")
    parser.add_argument("--seconds", type=float, default=900, help="no blow comes later in a run")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--add", action="store_true", help="keep what --out has of other runs")
    parser.add_argument("--out", type=Path, default=Path("var/chaos-workers.json"))
    options = parser.parse_args(arguments)
    os.nice(options.nice)
    return options


def _names(known: Sequence[str]) -> Any:
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown}: choose from {', '.join(known)}")
        return chosen

    return names
