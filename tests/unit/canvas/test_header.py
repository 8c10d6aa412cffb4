"""Headers of a user's own: what no broker could carry is refused where it is given, and not when the message is on its way."""

from __future__ import annotations

import pytest
from backbeat.canvas import App
from backbeat.canvas.errors import EncodeError
from backbeat.canvas.header import DEEPEST, MOST_BYTES, check_headers
from backbeat.canvas.options import checked
from backbeat.canvas.request import Request, running

NAN, INF = float("nan"), float("inf")


def nested(depth):
    """A list in lists, `depth` in all."""
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


LARGEST = {"x": "a" * (MOST_BYTES - len('{"x":""}'))}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"": None, "a": True, "b": [1, 2.5, "\N{SNOWMAN}", {"c": ("d",)}]},
        {"x": 2**63 - 1, "y": -(2**63)},
        {"n" * 255: {"m" * 255: 1}},
        {"x": nested(DEEPEST - 1)},
        LARGEST,
    ],
)
def test_what_every_broker_can_carry_is_taken(headers):
    check_headers(headers)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (NAN, "nan and infinity are no numbers"),
        ({"deep": [1, INF]}, "nan and infinity are no numbers"),
        ([-INF], "nan and infinity are no numbers"),
        (2**63, "has more than 64 bits"),
        ({"a": [-(2**63) - 1]}, "has more than 64 bits"),
        (10**400, "has more than 64 bits"),
        ({"n" * 256: 1}, "has more than 255 bytes"),
        ([{"\N{SNOWMAN}" * 86: 1}], "has more than 255 bytes"),
        ({5: 1}, "the name 5 is no text"),
        ({"a": {None: 1}}, "the name None is no text"),
        ({1, 2}, "set cannot be written as JSON"),
        ([object()], "object cannot be written as JSON"),
        (b"raw", "bytes cannot be written as JSON"),
        (nested(DEEPEST), "more than 20 maps and lists are in each other"),
    ],
)
def test_a_value_that_some_broker_cannot_carry_is_refused_with_the_name_of_its_header(value, text):
    with pytest.raises(EncodeError, match=f"headers cannot be written: 'tenant': .*{text}"):
        checked({"headers": {"fine": 1, "tenant": value}})


def test_a_value_that_holds_itself_is_refused():
    value = []
    value.append(value)

    with pytest.raises(EncodeError, match="'tenant': more than 20 maps and lists"):
        checked({"headers": {"tenant": value}})


def test_a_name_that_is_too_long_is_refused():
    with pytest.raises(EncodeError, match=r"the name 'nnn.*has more than 255 bytes"):
        checked({"headers": {"n" * 256: 1}})


@pytest.mark.parametrize("headers", [{"x": LARGEST["x"] + "a"}, {f"h{n}": "a" * 100 for n in range(400)}])
def test_more_than_fits_into_a_frame_beside_what_is_ours_is_refused(headers):
    with pytest.raises(EncodeError, match=r"the headers have .* bytes as JSON, more than 32,768"):
        checked({"headers": headers})


# --- wherever they are given -----------------------------------------------------------------------------------------------------


@pytest.fixture
def app():
    made = App("proj", broker="memory://", set_as_current=False)
    made.task(name="t", bind=True)(lambda self: self)
    return made


@pytest.mark.parametrize("headers", [{"x": NAN}, {"x": "a" * MOST_BYTES}])
def test_every_way_to_give_headers_is_refused_before_anything_is_sent(app, headers):
    t = app.tasks["t"]
    ways = [
        lambda: t.apply_async(headers=headers),
        lambda: app.send_task("t", headers=headers),
        lambda: t.s().set(headers=headers).delay(),
        (t.si() | t.si().set(headers=headers)).delay,
        lambda: t.apply_async(link=t.si().set(headers=headers)),
        lambda: app.resolved_from_data(t.s().set(headers=headers)),  # a schedule's
        lambda: app.task(name="r", retry_kwargs={"headers": headers})(print),
    ]

    for way in ways:
        with pytest.raises(Exception, match=r"headers cannot be written|the headers have") as error:
            way()
        assert error.type.__name__ in ("EncodeError", "ImproperlyConfigured")


def test_a_retry_s_headers_are_looked_at_together_with_those_that_the_message_has(app):
    task, request = app.tasks["t"], Request(id="i", task="t", called_directly=False, headers=LARGEST)

    with running(request), pytest.raises(EncodeError, match="the headers have"):
        task.retry(headers={"more": "a" * 20})
    with running(request), pytest.raises(EncodeError, match="nan and infinity are no numbers"):
        task.retry(headers={"x": NAN})
    with running(request):
        assert task.retry(headers={"x": "short"}, throw=False).fields["options"] == {
            "headers": {"x": "short"}
        }
