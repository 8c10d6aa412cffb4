"""Whether a call fits: as inspect.Signature.bind says, also where arguments are only counted."""

from __future__ import annotations

import inspect
from functools import partial

import pytest
from backbeat.canvas.parameters import Parameters


def nothing():
    pass


def two(a, b=1):
    pass


def by_place(a, /, b):
    pass


def many(a, *rest):
    pass


def with_name(a, *, b):
    pass


def with_optional_name(a, *, b=1):
    pass


def anything(*args, **kwargs):
    pass


FUNCTIONS = [
    nothing,
    two,
    by_place,
    many,
    with_name,
    with_optional_name,
    anything,
    partial(two, 1),
    partial(two, b=2),
]
CALLS = [(), (1,), (1, 2), (1, 2, 3)]
NAMES = [{}, {"a": 1}, {"b": 1}, {"a": 1, "b": 2}, {"c": 1}]


def fault(check, *args):
    try:
        check(*args)
    except TypeError as error:
        return str(error)
    return None


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_call_fits_where_it_could_be_bound(function):
    parameters, signature = Parameters(function), inspect.signature(function)

    for args in CALLS:
        for kwargs in NAMES:
            bound = fault(lambda a, k: signature.bind(*a, **k), args, kwargs)
            assert fault(parameters.check, args, kwargs) == bound, (args, kwargs)
