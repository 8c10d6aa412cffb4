"""on_success, on_failure, on_done: told once how a canvas ended, each as a task of its own."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import chain, chord, group, signature
from backbeat.canvas.errors import ChordError

from support.eager import Fleet


class Office(Fleet):
    def __init__(self):
        super().__init__()
        self.notes = []

        @self.app.task(name="echo")
        def echo(*values):
            return values[0] if values else None

        @self.app.task(name="broken")
        def broken(*_):
            raise ValueError("no paper")

        @self.app.task(name="note")
        def note(told, kind):
            self.notes.append((kind, told))

        self.echo, self.broken, self.note = echo, broken, note

    def listened(self, sig):
        for kind in ("success", "failure", "done"):
            getattr(sig, f"on_{kind}")(self.note.s(kind))
        return sig

    def told(self):
        """What was told, by kind."""
        assert len({kind for kind, _ in self.notes}) == len(self.notes)
        return dict(self.notes)


@pytest.fixture
def office():
    return Office()


CANVASES = {
    "task": lambda o, ok: o.echo.s(1) if ok else o.broken.s(),
    "chain": lambda o, ok: chain(o.echo.s(1), o.echo.s() if ok else o.broken.s(), o.echo.s()),
    "group": lambda o, ok: group(o.echo.s(1), o.echo.s(2) if ok else o.broken.s()),
    "chord": lambda o, ok: chord([o.echo.s(1), o.echo.s(2) if ok else o.broken.s()], o.echo.s()),
    "nested": lambda o, ok: chord([chord([o.echo.s(1)], o.echo.s() if ok else o.broken.s())], o.echo.s()),
    "group at the end": lambda o, ok: chain(
        o.echo.s(1), group(o.echo.s(), o.echo.s() if ok else o.broken.s())
    ),
}
VALUES = {
    "task": 1,
    "chain": 1,
    "group": [1, 2],
    "chord": [1, 2],
    "nested": [[1]],
    "group at the end": [1, 1],
}


@pytest.mark.parametrize("kind", CANVASES)
def test_a_canvas_that_succeeds_tells_its_value_and_that_it_is_done(office, kind):
    handle = office.listened(CANVASES[kind](office, True)).apply_async()
    office.drain()

    told = office.told()
    assert set(told) == {"success", "done"}
    assert told["success"] == VALUES[kind] == handle.get(timeout=0)
    assert told["done"]["state"] == "SUCCESS"
    assert told["done"]["result"] == VALUES[kind]
    assert told["done"]["id"] == handle.id
    assert told["done"]["exc_type"] is None


@pytest.mark.parametrize("kind", CANVASES)
def test_a_canvas_that_fails_tells_why_and_that_it_is_done(office, kind):
    handle = office.listened(CANVASES[kind](office, False)).apply_async()
    office.drain()

    told = office.told()
    assert set(told) == {"failure", "done"}
    report = told["failure"]
    assert told["done"] == report
    assert (report["id"], report["state"], report["result"]) == (handle.id, "FAILURE", None)
    why = report if report["cause"] is None else report["cause"]
    assert (why["exc_type"], why["exc_message"]) == ("ValueError", "no paper")
    assert handle.failed()


def test_a_group_that_failed_tells_how_each_member_ended(office):
    handle = office.listened(CANVASES["group"](office, False)).apply_async()
    office.drain()

    members = office.told()["failure"]["members"]
    assert [member["id"] for member in members] == [member.id for member in handle.results]
    assert [(m["index"], m["state"], m["result"], m["exc_type"]) for m in members] == [
        (0, "SUCCESS", 1, None),
        (1, "FAILURE", None, "ValueError"),
    ]


def test_an_empty_group_succeeds_once(office):
    office.listened(group(app=office.app)).apply_async()
    office.drain()

    assert office.told()["success"] == []


def test_what_follows_gets_the_value_as_if_nobody_listened(office):
    sig = office.listened(chain(office.echo.s(1), group(office.echo.s(), office.echo.s()))) | office.echo.s()
    handle = sig.apply_async()
    office.drain()

    assert handle.get(timeout=0) == [1, 1]
    assert office.told()["success"] == [1, 1]


def test_parts_of_a_canvas_are_listened_to_each_by_itself(office):
    inner = chain(office.echo.s(1), office.broken.s()).on_failure(office.note.s("inner"))
    outer = chord([inner, office.echo.s(2)], office.echo.s()).on_failure(office.note.s("outer"))
    outer.apply_async()
    office.drain()

    assert sorted(kind for kind, _ in office.notes) == ["inner", "outer"]


def test_a_canvas_that_never_began_is_told_of_as_failed(office):
    never = chain(office.echo.s(), office.echo.s()).on_done(office.note.s("done"))
    chain(office.broken.s(), never).apply_async()
    office.drain()

    assert office.told()["done"]["state"] == "FAILURE"


def test_a_revoked_canvas_is_told_of_as_failed(office):
    sig = office.listened(chain(office.echo.s(1), office.echo.s()))
    handle = sig.apply_async()
    handle.parent.revoke()
    office.drain()

    assert office.told()["failure"]["exc_type"] == "TaskRevokedError"


def test_links_and_error_callbacks_of_the_same_canvas_are_called_too(office):
    sig = chain(office.echo.s(1), office.broken.s()).on_failure(office.note.s("hook"))
    sig.link_error(office.note.s("errback"))
    sig.apply_async()
    office.drain()

    assert sorted(kind for kind, _ in office.notes) == ["errback", "hook"]


def test_a_hook_may_be_a_canvas_and_several_are_called_each_once(office):
    sig = (
        office.echo.s(1)
        .on_success(office.echo.s() | office.note.s("canvas"))
        .on_success(office.note.s("task"))
    )
    sig.on_success(office.note.s("task"))
    sig.apply_async()
    office.drain()

    assert sorted(office.notes) == [("canvas", 1), ("task", 1)]


def test_hooks_survive_json_and_copies(office):
    sig = signature(
        json.loads(json.dumps(office.listened(CANVASES["chord"](office, True)).clone())), app=office.app
    )
    sig.apply_async()
    office.drain()

    assert office.told()["success"] == [1, 2]


def test_the_ids_of_a_canvas_that_is_listened_to_are_those_it_would_have(office):
    plain = CANVASES["chord"](office, True)
    heard = office.listened(CANVASES["chord"](office, True))

    one, two = plain.apply_async(task_id="x"), heard.apply_async(task_id="x")

    assert one.as_tuple() == two.as_tuple()


def test_an_immutable_hook_gets_nothing(office):
    office.app.task(name="bell")(lambda: office.notes.append(("bell", None)))
    office.echo.s(1).on_done(office.app.signature("bell").set(immutable=True)).apply_async()
    office.drain()

    assert office.notes == [("bell", None)]


def test_a_chord_fails_with_a_chord_error_whoever_listens(office):
    handle = office.listened(CANVASES["chord"](office, False)).apply_async()
    office.drain()

    with pytest.raises(ChordError, match="no paper"):
        handle.get(timeout=0)
