"""Growing: what a running member of a chord adds to the chord's header: `self.add_to_chord(sig)`.

It is part of the run's outcome: when the run succeeds, or is replaced, the store lets the join wait for one more part, and sends what is
added, in the step that stores the outcome, and before the member's own part is counted (flow._grow). A run that fails, or is retried, has
added nothing; one that is performed twice adds once, as all ids come from those of the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from .flow import ALONE
from .ids import derive
from .json_text import json_value
from .node import Node
from .node_data import node_to_data
from .request import Request
from .result import Result
from .signature import Signature, signature


class Grower(Protocol):
    """What is needed of an app."""

    def adding(self, signature: Signature, id_: str) -> tuple[Node, Result]:
        """The frozen canvas as it would be sent, under `id_` unless it has an id; and its handle."""
        ...


def added_to_chord(app: Any, request: Request, sig: Mapping[str, Any], *, lazy: bool) -> Any:
    """See Task.add_to_chord."""
    if request.growth is None:
        raise ValueError(ALONE)
    what = signature(sig, app=app)
    return _lazily(app, request, what) if lazy else _added(app, request, what)


def _added(app: Grower, request: Request, sig: Signature) -> Result:
    assert request.id is not None
    node, handle = app.adding(sig, derive(request.id, f"{request.growth}:{len(request.added)}:value"))
    request.added.append(json_value(node_to_data(node, json.loads)))
    request.children.append(handle)
    return handle


def _lazily(app: Grower, request: Request, what: Signature) -> Signature:
    """A signature that is added when it is sent by `delay` or `apply_async`, and else is not."""
    sig = what.clone()

    def apply_async(
        args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Result:
        return _added(app, request, what.clone(args or (), kwargs, **options))

    sig.apply_async = apply_async  # type: ignore[method-assign]  # of this one alone: its clones are sent as others are
    return sig
