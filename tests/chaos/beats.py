"""`python -m chaos beats`: all combinations, or some, under fire; writes the figures down and ends with 1 where a bar is not met."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path

from .bar import show
from .plan import Outcome, Plan
from .report import Combination, combination, document, lines
from .scenario import run_one
from .world import COMBINATIONS, open_world


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code."""
    options = _parse(arguments)
    chosen = [pair for pair in COMBINATIONS if not options.only or "+".join(pair) in options.only.split(",")]
    if not chosen:
        sys.exit(f"--only {options.only}: choose from {', '.join('+'.join(pair) for pair in COMBINATIONS)}")
    seed = options.seed if options.seed is not None else secrets.randbits(32)
    print(f"seed {seed}, lease of {options.ttl:g} s, {len(chosen)} combinations", flush=True)
    os.nice(options.nice)
    done = _kept(options, chosen)
    is_broken = False
    for store, broker in chosen:
        outcome = _run(store, broker, options, seed)
        is_broken = is_broken or outcome is None
        done += [combination(outcome, seed=seed)] if outcome else []
    done.sort(key=lambda each: COMBINATIONS.index((each["store"], each["broker"])))
    result = document(done, seed=seed, ttl_seconds=options.ttl)
    show(result["bars"])
    shown = ("kills", "pauses", "firings", "messages", "windows", "max_copies")
    print({name: result[name] for name in shown})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {options.out}")
    return int(is_broken or not all(bar["is_met"] for bar in result["bars"]))


def _kept(options: argparse.Namespace, chosen: Collection[tuple[str, str]]) -> list[Combination]:
    """With --add: the combinations of the last run that are not run now."""
    if not options.add:
        return []
    last = json.loads(options.out.read_text())
    return [each for each in last["combinations"] if (each["store"], each["broker"]) not in chosen]


def _run(store: str, broker: str, options: argparse.Namespace, seed: int) -> Outcome | None:
    plan = Plan(
        kills=options.kills,
        pauses=options.pauses,
        freezes=options.freezes,
        stops=options.stops,
        cluster_kills=options.cluster_kills,
        all_kills=1,
        standby_kills=1,
        rolls=options.rolls,
        outages=options.outages,
    )
    logs = options.out.parent / f"chaos-{store}-{broker}"
    with tempfile.TemporaryDirectory(prefix="backbeat-chaos-") as name:
        try:
            with open_world(store, broker, Path(name)) as world:
                outcome = run_one(
                    world,
                    Path(name),
                    plan,
                    seed=f"{seed} {store} {broker}",
                    ttl_seconds=options.ttl,
                    seconds=options.seconds,
                    logs=logs,
                    own_clocks=options.own_clocks or _has_own_clocks(store, broker),
                )
        except Exception:
            print(f"{store} + {broker}: BROKEN", flush=True)
            traceback.print_exc()
            return None
    print("\n".join(lines(outcome)), flush=True)
    return outcome


def _has_own_clocks(store: str, broker: str) -> bool:
    """As on several hosts, where root may make time namespaces: in the combinations that could stand on several."""
    return os.geteuid() == 0 and store != "sqlite" and broker == "rabbitmq"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos beats", description=__doc__)
    parser.add_argument("--seed", type=int, help="default: drawn")
    parser.add_argument("--only", default="", help="combinations, such as sqlite+redis,postgres+same")
    parser.add_argument("--kills", type=int, default=21, help="of leaders, in each combination")
    parser.add_argument("--cluster-kills", type=int, default=1, help="of a leader and a standby at once")
    parser.add_argument("--pauses", type=int, default=6)
    parser.add_argument("--freezes", type=int, default=2, help="inside the transaction")
    parser.add_argument("--stops", type=int, default=4, help="SIGTERM of leaders")
    parser.add_argument("--rolls", type=int, default=1, help="rolling restarts of all beats")
    parser.add_argument("--outages", type=int, default=3, help="of the store and of the broker, each")
    parser.add_argument("--seconds", type=float, default=300, help="no fault begins later in a combination")
    parser.add_argument("--ttl", type=float, default=3.0, help="of the lease, in seconds")
    parser.add_argument(
        "--own-clocks",
        action="store_true",
        help="each beat of all combinations in a time namespace of its own, days apart (root only); else that of some",
    )
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--add", action="store_true", help="keep what --out has of other combinations")
    parser.add_argument("--out", type=Path, default=Path("var/chaos.json"))
    return parser.parse_args(arguments)
