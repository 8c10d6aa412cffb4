"""Pairs: run two sides alternately and compare their medians. The machine is noisy, so only the ratio means something."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_json(command: list[str], timeout: float = 120) -> float:
    """Run a command; its last line of output is a number."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def compare(
    title: str, unit: str, ours: Callable[[], float], theirs: Callable[[], float], *, pairs: int = 3
) -> None:
    """Alternate both sides and print both medians, and how many times better ours is (rates: more, seconds: less)."""
    mine, peer = [], []
    for _ in range(pairs):
        mine.append(ours())
        peer.append(theirs())
    a, b = statistics.median(mine), statistics.median(peer)
    ratio = b / a if unit == "s" else a / b
    spread = f"ours {min(mine):.3g}-{max(mine):.3g}, celery {min(peer):.3g}-{max(peer):.3g}"
    print(
        f"{title}: backbeat {a:.4g} {unit}, celery 5.7 {b:.4g} {unit}: {ratio:.1f}x ({pairs} pairs; {spread})",
        flush=True,
    )
