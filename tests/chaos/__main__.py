"""`python -m chaos`: beats under fire, then workers, then canvases, then senders of one key; or one of them, with options: `python -m chaos workers --seed 1`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from . import beats, senders
from .canvases import command as canvases
from .workers import command as workers

SUITES = {"beats": beats.main, "workers": workers.main, "canvases": canvases.main, "senders": senders.main}


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code."""
    if not arguments:
        return max([suite([]) for suite in SUITES.values()])
    name, *options = arguments
    if name in SUITES:
        return SUITES[name](options)
    shown = f"write: chaos [{' | '.join(SUITES)} [options]]; the options: chaos {' --help, chaos '.join(SUITES)} --help"
    if name in ("-h", "--help"):
        print(shown)
        return 0
    sys.exit(shown)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
