"""JSON text is read as the standard library reads it, though by another decoder."""

from __future__ import annotations

import json

from backbeat.canvas.json_text import parsed
from hypothesis import given
from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
odd_texts = st.sampled_from(
    [
        "NaN",
        "[Infinity]",
        "1e400",
        '"\\ud800"',
        '"\ud800"',
        '{"a":1,"a":2}',
        "[1,]",
        "",
        "1" * 5_000,
        "[" * 3_000 + "]" * 3_000,
    ]
)


def read(how, text):
    """Its value, with the types in it, or the kind of its error."""
    try:
        return repr(how(text))
    except Exception as error:
        return type(error)


@given(json_values.map(json.dumps) | odd_texts | st.text(), st.booleans())
def test_a_text_is_parsed_as_json_loads_does(text, as_bytes):
    text = text.encode("utf-8", "surrogatepass") if as_bytes else text

    assert read(parsed, text) == read(json.loads, text)
