"""Unused: warning W198 for workflows that nothing starts.

PURE. A file that is included and has no schedules of its own is a library: whoever includes it need not use all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf

from .call import uses
from .node import Mapping, Pair
from .outline import Outline
from .problem import Problem, quoted


def unused_warnings(
    outlines: Sequence[Outline], schedules: Iterable[Mapping], workflows: MappingOf[str, Pair]
) -> Iterator[Problem]:
    """A warning for each workflow that none of these schedules uses, not by way of others either."""
    if not workflows:
        return
    waiting = [use.workflow for keys in schedules for use in uses(keys)]
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in workflows and name not in used:
            used.add(name)
            waiting += (use.workflow for use in uses(workflows[name].value))
    for outline in outlines:
        if outline.is_included and not outline.schedules:
            continue
        for name, pair in outline.workflows.items():
            if name not in used:
                message = f"workflow {quoted(name)} is not used by any schedule"
                help_text = "remove it, or write `workflow:` with its name in a schedule"
                yield Problem.at(pair.key.place, "W198", message, help=help_text)
