"""self.replace: a canvas takes the place of a run: its id, its value, its links and error callbacks, its place in a canvas (decisions K10)."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import chain, chord, group
from backbeat.canvas.errors import ChordError, EncodeError, ImproperlyConfigured, TaskRevokedError
from backbeat.canvas.execute import execute
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Replaced, State
from backbeat.canvas.replacing import VALUE_TASK

from support.eager import HOSTNAME, Fleet


def total(value):
    """The sum of numbers, in lists of any depth."""
    return value if isinstance(value, int) else sum(map(total, value))


class Theatre(Fleet):
    """A fleet with a task that is replaced by what `plays` holds under a name."""

    def __init__(self):
        super().__init__()
        self.heard = []
        self.requests = []
        task = self.app.task

        @task(name="add", bind=True)
        def add(task, *values):
            self.requests.append(task.request)
            return total(values)

        self.add = add

        @task(name="boom")
        def boom(*_):
            raise ValueError("boom")

        task(name="large")(lambda: "x" * 600_000)

        @task(name="flaky", bind=True, max_retries=2)
        def flaky(task, value):
            self.requests.append(task.request)
            if task.request.retries < 2:
                raise task.retry(countdown=0)
            return value

        @task(name="hear")
        def hear(what, name):
            self.heard.append((name, what))

        @task(name="understudied", bind=True)
        def understudied(task, play, *_):
            raise task.replace(plays[play])

        a = add.s
        self.understudied, self.hear, self.flaky = understudied, hear, flaky
        self.plays = plays = {
            "call": a(1, 2),
            "chain": a(1) | a(10),
            "group": group(a(0), a(1), a(2)),
            "empty group": group(),
            "chord": chord([a(1), a(2)], a()),
            "chain to a group": a(5) | group(a(1), a(2)),
            "chord to a group": chord([a(1), a(2)], group(a(1), a(2))),
            "again": understudied.si("chain"),
            "again at the end": a(1) | understudied.si("group"),
            "retries": flaky.s(7) | flaky.s(),
            "groups in a row": group(boom.s(), a(1)) | group(a(1), a(2)) | a(),
            "groups at the end": a(1) | group(boom.s(), a(1)) | group() | group(a(1), a(2)),
            "chord of a group fails": chord([boom.s()], group(a(1), a(2))),
            "its own id inside": add.signature((1,), task_id="m") | a(2),
            "its own id in a group": group(a(1), add.signature((1,), task_id="m")),
            "large": group(self.app.signature("large"), self.app.signature("large")),
            "first fails": boom.s() | a(),
            "last fails": a(1) | boom.s(),
            "group fails": group(a(1), boom.s()),
            "linked": add.signature((1,), link=[hear.s("its own")], link_error=[hear.s("its own error")]),
            "linked and fails": boom.signature((), link_error=[hear.s("its own error")]),
            "empty chain": chain(),
            "keyed": add.signature((1,), unique_key="k"),
            "chord option": add.signature((1,), chord=a(1)),
        }

    def nested(self, depth):
        """Chords in chords."""
        return self.add.s(1) if depth == 0 else chord([self.nested(depth - 1)], self.add.s())

    def run(self, canvas, **options):
        handle = canvas.apply_async(**options)
        self.drain()
        return handle


@pytest.fixture
def theatre():
    return Theatre()


VALUES = {
    "call": 3,
    "chain": 11,
    "group": [0, 1, 2],
    "empty group": [],
    "chord": 3,
    "chain to a group": [6, 7],
    "chord to a group": [4, 5],
    "again": 11,
    "again at the end": [0, 1, 2],
    "retries": 7,
}


@pytest.mark.parametrize("play", VALUES)
def test_k10_the_value_is_that_of_what_took_the_place_wherever_the_task_stands(theatre, play):
    part, add = theatre.understudied.si(play), theatre.add.s()
    value = VALUES[play]

    assert theatre.run(part).get(timeout=0) == value
    assert theatre.run(chain(theatre.add.s(4), part, add)).get(timeout=0) == total(value)
    assert theatre.run(group(theatre.add.s(8), part)).get(timeout=0) == [8, value]
    assert theatre.run(chord([part, theatre.add.s(8)], add | add)).get(timeout=0) == 8 + total(value)


def test_k10_what_ends_last_has_the_id_and_the_place_of_the_task_and_starts_counting_anew(theatre):
    handle = theatre.run(group(theatre.add.s(8), theatre.understudied.si("retries")))

    (_, *mine) = theatre.requests
    member = handle.results[1]
    assert [request.retries for request in mine] == [0, 1, 2, 0, 1, 2]
    assert {request.id for request in mine[3:]} == {member.id}
    assert {request.id for request in mine[:3]} != {member.id}
    assert (mine[3].group, mine[3].group_index, mine[3].replaced_task_nesting) == (handle.id, 1, 1)
    assert {request.root_id for request in mine} == {handle.id}
    assert member.get(timeout=0) == 7
    assert member.retries == 2


def test_k10_while_its_canvas_runs_the_task_is_started_and_not_ready(theatre):
    handle = theatre.understudied.si("chain").apply_async()
    theatre.drain(limit=1)

    assert (handle.state, handle.ready()) == (State.STARTED, False)


def test_k10_its_links_are_called_once_with_the_value_of_the_whole(theatre):
    theatre.run(theatre.understudied.si("chain"), link=theatre.hear.s("done"))
    theatre.run(theatre.understudied.si("group"), link=theatre.hear.s("all"))
    theatre.run(theatre.understudied.si("linked"), link=theatre.hear.s("one"))

    assert sorted(theatre.heard, key=str) == sorted(
        [("done", 11), ("all", [0, 1, 2]), ("one", 1), ("its own", 1)], key=str
    )


FAILING = {
    "first fails": ValueError,
    "last fails": ValueError,
    "group fails": ChordError,
    "groups in a row": ChordError,
    "groups at the end": ChordError,
    "chord of a group fails": ChordError,
    "linked and fails": ValueError,
}


@pytest.mark.parametrize("play", FAILING)
def test_k10_where_its_canvas_fails_the_task_fails_and_all_that_waits_for_it(theatre, play):
    part = theatre.understudied.si(play)
    alone = theatre.run(part, link_error=theatre.hear.s("failed"))
    step = theatre.run(chain(part, theatre.add.s()))
    body = theatre.run(chord([part], theatre.add.s()))

    for handle in (alone, step):
        with pytest.raises(FAILING[play], match="boom"):
            handle.get(timeout=0)
    with pytest.raises(ChordError, match="boom"):
        body.get(timeout=0)
    assert [name for name, _ in theatre.heard].count("failed") == 1
    assert [name for name, _ in theatre.heard].count("its own error") == (3 if "linked" in play else 0)


def test_k10_whoever_runs_it_again_asks_for_the_same(theatre):
    message = Message(id="m", task="understudied", args='["chord"]', attempt=2, root_id="root")

    first, second = (execute(message, theatre.app.tasks, HOSTNAME) for _ in range(2))

    assert isinstance(first, Replaced)
    assert first == second
    assert json.loads(first.canvas)["options"].keys() <= {"task_id"}


def test_k10_of_a_revoked_task_nothing_starts_that_has_taken_its_place(theatre):
    handle = theatre.understudied.si("chain").apply_async()
    theatre.drain(limit=1)

    handle.revoke()
    theatre.drain()

    with pytest.raises(TaskRevokedError):
        handle.get(timeout=0)
    assert theatre.executed == ["understudied"]


@pytest.mark.parametrize("play", FAILING)
def test_k10_a_copy_that_comes_when_all_has_failed_calls_nobody_again(theatre, play):
    handle = theatre.understudied.si(play).apply_async(link_error=theatre.hear.s("failed"))
    commit = theatre.open("looking", "celery")
    (item,) = commit.exchange([], take=1).taken
    commit.release([item])
    theatre.drain()
    before = [*theatre.executed]

    theatre.put("celery", item.delivery.raw)
    theatre.drain()

    assert handle.state == State.FAILURE
    assert theatre.executed == before
    assert [name for name, _ in theatre.heard].count("failed") == 1


def test_k10_the_value_of_a_group_is_bounded_as_every_result(theatre):
    with pytest.raises(EncodeError, match="the result has 1,200,0"):
        theatre.run(theatre.understudied.si("large")).get(timeout=0)


REFUSED = {
    "its own id inside": "m is the id of the task that is replaced",
    "its own id in a group": "m is the id of the task that is replaced",
    "empty chain": "has no steps",
    "keyed": "unique_key is taken by apply_async alone",
    "chord option": "use chord\\(header, body\\)",
}


@pytest.mark.parametrize("play", REFUSED)
def test_k10_what_cannot_take_a_place_fails_the_task_and_says_why(theatre, play):
    with pytest.raises(ImproperlyConfigured, match=REFUSED[play]):
        theatre.run(theatre.understudied.si(play), task_id="m").get(timeout=0)


@pytest.mark.parametrize("depth", [49, 50, 60])
def test_k10_a_canvas_that_nobody_could_read_fails_the_task(theatre, depth):
    theatre.plays["deep"] = theatre.nested(depth)
    handle = theatre.run(theatre.understudied.si("deep"), link_error=theatre.hear.s("failed"))

    if depth < 50:
        assert handle.get(timeout=0) == 1
        return
    with pytest.raises(ImproperlyConfigured, match="levels of signatures inside signatures, more than 100"):
        handle.get(timeout=0)
    assert [name for name, _ in theatre.heard] == ["failed"]


def test_a_canvas_that_nobody_could_read_is_refused_when_it_is_sent(theatre):
    assert theatre.run(theatre.nested(49)).get(timeout=0) == 1
    with pytest.raises(ImproperlyConfigured, match="has 101 levels"):
        theatre.nested(50).delay()


def test_k10_outside_of_a_worker_nothing_can_be_replaced(theatre):
    with pytest.raises(ImproperlyConfigured, match="understudied is not what a worker runs here"):
        theatre.understudied("call")


def test_k10_the_value_task_is_every_workers_and_needs_a_value(theatre):
    theatre.app.send_task(VALUE_TASK, [], task_id="v", queue="backbeat")
    theatre.drain()

    assert theatre.app.AsyncResult("v").state == State.FAILURE
