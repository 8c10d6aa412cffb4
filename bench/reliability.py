"""Reliability: the figures of docs/reliability.md, from what `make chaos` and `make kills` kept in var/. Each function makes a text of one of
these files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .page import table

REASON_LENGTH = 100


def chaos(known: Mapping[str, Any]) -> str:
    """Beats: in all, bar by bar, and for each pair of store and broker."""
    combinations = known["combinations"]
    windows = ", ".join(f"{name}: {count}" for name, count in sorted(known["windows"].items())) or "none"
    rows = [("store", "broker", "kills", "pauses", "firings", "messages", "kill to next emission p50 / max")]
    for each in combinations:
        gap = each["gaps_seconds"].get("kill")
        took = f"{gap['p50']:.2f} / {gap['max']:.2f} s" if gap else ""
        counts = [f"{each[key]:,}" for key in ("kills", "pauses", "firings", "messages")]
        rows.append((each["store"], each["broker"], *counts, took))
    return (
        f"The last run of `make chaos ARGS=beats`: {known['kills']} kills, {known['pauses']} pauses, {known['firings']:,} firings,"
        f" {known['messages']:,} messages, lease {known['ttl_seconds']:g} s, seed {known['seed']}. Second copies by window: {windows};"
        f" at most {known['max_copies']} of one firing. The faults are aimed at bursts, so their share of the copies says nothing about"
        f" a quiet service.\n\n{_bars(known['bars'])}\n\n{table(rows)}"
    )


def _bars(bars: Sequence[dict[str, Any]]) -> str:
    rows = [("bar", "figure", "bound", "")]
    for bar in bars:
        figure = f"{bar['figure']:.3g}" if isinstance(bar["figure"], float) else str(bar["figure"])
        rows.append((bar["name"], figure, bar["bound"], "met" if bar["is_met"] else "not met"))
    return table(rows)


def chaos_workers(known: Mapping[str, Any]) -> str:
    """Workers: bar by bar, and for each stack and kind of fire."""
    head = ("what is done", "broker + store", "times", "tasks", "runs", "second runs", "ended as lost")
    rows = [(*head, "broker back to next start p50 / p99 / max")]
    for each in known["rows"]:
        gaps = each["gaps_seconds"]
        shares = [gaps[max(0, math.ceil(share * len(gaps)) - 1)] for share in (0.5, 0.99, 1)] if gaps else []
        took = " / ".join(f"{seconds:.2f}" for seconds in shares) + (" s" if shares else "")
        blows = each["blows"]
        ways = ", ".join(f"{count} by {way}" for way, count in sorted(blows.items()))
        second = ", ".join(f"{name}: {count}" for name, count in sorted(each["repeats"].items())) or "0"
        lost = f"{each['lost_early']} early, {each['capped']} capped"
        times = sum(each["done"].values())
        done = f"{times}" + (f" ({ways})" if sum(blows.values()) > times or len(blows) > 1 else "")
        counts = [f"{each[key]:,}" for key in ("tasks", "runs")]
        rows.append((each["name"], each["stack"], done, *counts, second, lost, took))
    total = {name: sum(each[name] for each in known["rows"]) for name in ("tasks", "runs")}
    return (
        f"The last run of `make chaos ARGS=workers`: {total['tasks']:,} tasks, {total['runs']:,} runs, three workers with two processes each,"
        f" lease {known['lease_seconds']:g} s, seed {known['seed']}, load average {known['load_average']} on {known['processors']} processors."
        f"\n\n{_bars(known['bars'])}\n\n{table(rows)}"
    )


def poison(known: Mapping[str, Any]) -> str:
    """What each kind of poison ended as, which is the same on all stacks unless the table says otherwise; nothing if there was none."""
    given = [row for row in known["rows"] if row.get("poisons")]
    if not given:
        return ""
    stacks = [row["stack"] for row in given]
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for row in given:
        for each in row["poisons"]:
            handle = ", ".join(filter(None, (each["state"], each["error"]))) or "has none"
            on = found.setdefault(each["what"], {}).setdefault((handle, _short(each["reason"])), [])
            on += [row["stack"]] if row["stack"] not in on else []
    rows = [("what comes", "on", "its handle", "its dead letter says")]
    for what, ends in sorted(found.items()):
        rows += [
            (what, "all" if on == stacks else ", ".join(on), handle, reason)
            for (handle, reason), on in ends.items()
        ]
    count = sum(len(row["poisons"]) for row in given)
    return f"The last run: {len(found)} kinds, {count} messages, on {', '.join(stacks)}.\n\n{table(rows)}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= REASON_LENGTH else f"{text[:REASON_LENGTH]}..."


def kill_points(known: Mapping[str, Any]) -> str:
    """The worker killed at every point: a row for each stack."""
    head = (
        "stack",
        "points",
        "trials",
        "kills",
        "runs",
        "repeats, all explained",
        "otherwise than it must be",
    )
    lease = f"{known['lease_seconds']:g} s"
    rows = [
        (*head, f"last death to all settled, max (lease {lease})", "second deaths not met in three tries")
    ]
    for each in known["rows"]:
        counts = [f"{each[key]:,}" for key in ("points", "trials", "kills", "runs", "repeats", "troubles")]
        rows.append((each["stack"], *counts, f"{each['longest_seconds']:.1f} s", f"{each['missed']}"))
    names = {name for each in known["rows"] for name in each["by_name"]}
    return (
        f"The last run of `make kills`: killed at {len(names)} different points, in {known['scenarios']} scenarios, seed {known['seed']},"
        f" load average {known['load_average']} on {known['processors']} processors.\n\n{table(rows)}"
    )


def senders(known: Mapping[str, Any]) -> str:
    """Many processes that send one unique key: a row for each stack."""
    rows = [("broker + store", "senders", "sends by each", "handles", "ids among them", "runs", "seconds")]
    for each in known["rows"]:
        counts = [f"{each[key]:,}" for key in ("children", "sends", "handles", "ids", "runs")]
        rows.append((each["stack"], *counts, f"{each['seconds']:.1f}"))
    return (
        f"The last run of `make chaos ARGS=senders`, load average {known['load_average']} on {known['processors']} processors."
        f"\n\n{_bars(known['bars'])}\n\n{table(rows)}"
    )


def canvases(known: Mapping[str, Any]) -> str:
    """Canvases while broker and database are restarted: a row for each stack."""
    head = ("broker + store", "canvases", "of them to fail", "restarts", "sends repeated", "seconds")
    rows = [(*head, "last restart to all settled, s", "not settled, wrong, changed or left")]
    for each in known["rows"]:
        restarts = ", ".join(f"{count} of {kind}" for kind, count in sorted(each["restarts"].items()))
        counts = [f"{each[key]:,}" for key in ("canvases", "failed")]
        times = f"{each['seconds']:.0f}", f"{each['longest_seconds']:.1f}"
        rows.append(
            (each["stack"], *counts, restarts, f"{each['refused']:,}", *times, f"{len(each['troubles'])}")
        )
    return (
        f"The last run of `make chaos ARGS=canvases`, seed {known['seed']}, load average {known['load_average']} on {known['processors']} processors."
        f"\n\n{_bars(known['bars'])}\n\n{table(rows)}"
    )
