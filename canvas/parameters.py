"""Parameters: what a function takes, to know of a call whether it fits."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class Parameters:
    """Of one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._signature = inspect.signature(function)
        each = self._signature.parameters.values()
        kinds = [parameter.kind for parameter in each]
        needed = [parameter.kind for parameter in each if parameter.default is parameter.empty]
        by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._most = math.inf if inspect.Parameter.VAR_POSITIONAL in kinds else _count(kinds, by_place)
        self._least = math.inf if inspect.Parameter.KEYWORD_ONLY in needed else _count(needed, by_place)

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError, in Python's words, for arguments that the function does not take."""
        # most calls name none of them, and to count them takes a tenth of the time
        if kwargs or not self._least <= len(args) <= self._most:
            self._signature.bind(*args, **kwargs)


def _count(kinds: Sequence[Any], wanted: tuple[Any, ...]) -> int:
    return sum(kind in wanted for kind in kinds)
