"""The rows of the history: searched, paged by key, pruned, in each database."""

from __future__ import annotations

import pytest
from backbeat.scheduler.history.argument_text import Arguments
from backbeat.scheduler.history.gap import Gap
from backbeat.scheduler.history.history import SqlHistory
from backbeat.scheduler.history.search import Key, Search
from backbeat.scheduler.history.task_run import Attempt, TaskRun
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.wiring import open_store

from support import servers
from support.thorough import in_turn

T0 = 1_700_000_000_000_000


@pytest.fixture(params=in_turn(["sqlite", "postgres", "mariadb"], always=["sqlite"]))
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
    else:
        with servers.own_database(request.param) as url:
            yield url


@pytest.fixture
def history(url):
    open_store(url, cluster="test").close()
    opened = SqlHistory(open_engine(url))
    yield opened
    opened.close()


def run(number, **fields):
    known = {
        "id": f"t{number:05}",
        "at_us": T0 + number // 2,
        "name": "shop.add",
        "state": "SUCCESS",
        "queue": "celery",
    }
    return TaskRun(**{**known, **fields})


def ids(runs):
    return [each.id for each in runs]


def test_what_is_put_is_read_again(history):
    whole = run(
        1,
        worker="w1",
        entry="report ✓",
        root_id="r",
        parent_id="p",
        arguments=Arguments('["é", 1]', "{}", is_whole=True),
        result="x" * 100_000,
        error="ValueError('\N{PILE OF POO}')",
        traceback="Traceback",
        retries=2,
        eta="2026-01-01T00:00:00",
        due_us=1,
        sent_us=2,
        received_us=3,
        started_us=4,
        ended_us=5,
        seconds=0.25,
        attempts=(Attempt(state="RETRY", worker="w1", started_us=1, ended_us=2, error="no"),),
        look_us=9,
    )

    history.put([whole], [])
    changed = run(1, state="FAILURE")
    history.put([changed], [whole.id])

    assert history.run("t00001") == changed
    history.put([whole], [whole.id])
    assert history.run("t00001") == whole
    assert history.run("t00002") is None


def test_a_row_that_another_recorder_wrote_first_stays(history):
    history.put([run(1, state="STARTED")], [])
    history.put([run(1, state="SENT"), run(2)], [])

    assert history.run("t00001").state == "STARTED"
    assert history.run("t00002") is not None


def test_pages_follow_one_another_whatever_is_added_meanwhile(history):
    history.put([run(number) for number in range(25)], [])
    seen, after = [], None

    while page := history.runs(Search(), 10, after):
        seen += ids(page)
        after = Key(page[-1].at_us, page[-1].id)
        assert Key.parse(str(after)) == after
        history.put([run(100 + len(seen))], [])

    assert seen == [f"t{number:05}" for number in reversed(range(25))]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(task="shop.pay"), [2]),
        (Search(schedule="nightly"), [3]),
        (Search(states=("FAILURE", "REVOKED")), [5, 4]),
        (Search(worker="w9"), [6]),
        (Search(queue="fast"), [7]),
        (Search(root="root"), [8]),
        (Search(id="t0000"), [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (Search(id="t%"), []),
        (Search(text="50%_off"), [9]),
        (Search(text="KeyError"), [4]),
        (Search(since_us=T0 + 4), [9, 8]),
        (Search(until_us=T0 + 1), [1]),
        (Search(task="shop.add", states=("FAILURE",)), [4]),
    ],
)
def test_each_field_narrows(history, search, found):
    special = {
        2: {"name": "shop.pay"},
        3: {"entry": "nightly"},
        4: {"state": "FAILURE", "error": "KeyError('x')"},
        5: {"state": "REVOKED", "name": "shop.revoked"},
        6: {"worker": "w9"},
        7: {"queue": "fast"},
        8: {"root_id": "root"},
        9: {"arguments": Arguments('["50%_off"]', "{}", is_whole=True)},
    }
    history.put([run(number, **special.get(number, {})) for number in range(1, 10)], [])

    assert ids(history.runs(search, 100)) == [f"t{number:05}" for number in found]
    assert history.count(search) == len(found)


def test_old_runs_go_and_the_oldest_of_too_many(history):
    history.put([run(number, at_us=T0 + number) for number in range(30)], [])
    history.note_gap(Gap(T0 - 10, T0 - 5, "old"))
    history.note_gap(Gap(T0 + 50, T0 + 60, "new"))

    assert history.prune(T0 + 5, 100) == 5
    assert history.prune(T0 + 5, 10) == 15
    assert history.prune(T0 + 5, 10) == 0

    assert ids(history.runs(Search(), 100)) == [f"t{number:05}" for number in reversed(range(20, 30))]
    assert history.gaps() == [Gap(T0 + 50, T0 + 60, "new")]


def test_runs_are_counted_by_state_and_given_by_schedule(history):
    history.put(
        [run(number, state="FAILURE" if number % 5 == 0 else "SUCCESS", entry="a") for number in range(10)],
        [],
    )
    history.put([run(20, entry="b")], [])

    assert dict(history.states(T0)) == {"FAILURE": 2, "SUCCESS": 9}
    latest = history.latest_of(["a", "b", "none"], 3)
    assert {name: ids(runs) for name, runs in latest.items()} == {
        "a": ["t00009", "t00008", "t00007"],
        "b": ["t00020"],
        "none": [],
    }
    assert history.values_of("entry") == ["a", "b"]


def test_a_run_has_its_parent_and_its_children(history):
    history.put(
        [run(1), run(2, parent_id="t00001"), run(3, parent_id="t00002"), run(4, parent_id="t00002"), run(5)],
        [],
    )

    assert ids(history.family(history.run("t00002"), 10)) == ["t00001", "t00003", "t00004"]


def test_runs_whose_results_are_to_be_looked_for_come_when_it_is_time(history):
    history.put([run(1, look_us=T0 + 20), run(2, look_us=T0 + 10), run(3, look_us=T0 + 99), run(4)], [])

    assert ids(history.to_look_at(T0 + 20, 10)) == ["t00002", "t00001"]


def test_it_is_written_down_until_when_somebody_listened(history):
    assert history.heard_us() is None
    history.put([], [], T0)
    history.put([], [], T0 + 1)

    assert history.heard_us() == T0 + 1
