"""Numbers as other libraries have them: whole ones that are no `int`, as NumPy's are."""

from __future__ import annotations

from numbers import Integral


class Indexed:
    """Says by `__index__` which whole number it is."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


class Whole(Indexed):
    """Registered as a whole number, as numpy.int64 is."""

    def __int__(self) -> int:
        return self._value


Integral.register(Whole)
