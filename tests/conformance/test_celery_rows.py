"""Results in the tables of Celery's database backend, over SQLite, PostgreSQL and MariaDB: what is written there, what stands, and what is read.

What a real Celery makes of them is in tests/interop/test_sql_results.py.
"""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from backbeat.canvas.celery_place import CeleryPlace
from backbeat.canvas.commit.limits import Limits
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.effect import Restart, Settle
from backbeat.canvas.errors import DecodeError
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Success
from backbeat.canvas.progress import Progress
from backbeat.canvas.results.sql import SqlResults
from backbeat.canvas.sql.engine import open_engine
from kombu.utils import json as kombu_json
from sqlalchemy import MetaData, Table, create_engine, inspect, text

from support.thorough import in_turn

EXTENDED = (
    "name VARCHAR(155), args {blob}, kwargs {blob}, worker VARCHAR(155), retries INTEGER, queue VARCHAR(155)"
)
OLD = """CREATE TABLE celery_taskmeta (id INTEGER NOT NULL PRIMARY KEY {auto}, task_id VARCHAR(155) UNIQUE, status VARCHAR(50), result {blob},
date_done {time}, traceback TEXT{more})"""
"""The table as Celery before 5.7 makes it."""
FORMS = {
    "sqlite": {"blob": "BLOB", "time": "DATETIME", "auto": "AUTOINCREMENT"},
    "postgres": {"blob": "BYTEA", "time": "TIMESTAMP", "auto": "DEFAULT 0"},
    "mariadb": {"blob": "BLOB", "time": "DATETIME", "auto": "DEFAULT 0"},
}


class Place:
    """A database with Celery's tables, as they are made or as a test makes them."""

    def __init__(self, kind, url):
        self.kind = kind
        self.engine = open_engine(url)
        self.plain = create_engine(url)
        """As others have it."""
        self._opened = []

    def make(self, *, extended, more=""):
        """Celery's older table; on PostgreSQL and MariaDB with the sequence that Celery makes."""
        form = FORMS[self.kind]
        more = (", " + EXTENDED.format(**form) if extended else "") + more
        with self.plain.begin() as connection:
            if self.kind != "sqlite":
                connection.execute(text("CREATE SEQUENCE task_id_sequence"))
            connection.execute(text(OLD.format(more=more, **form)))

    def commit(self, *, keep_seconds=86_400.0, extended=True, **named):
        limits = Limits(keep_seconds=keep_seconds, extended=extended, celery=CeleryPlace(**named))
        opened = SqlCommit(self.engine, worker="w@x", limits=limits)
        self._opened.append(opened)
        return opened

    def results(self, **named):
        opened = SqlResults(self.engine, celery=CeleryPlace(**named))
        self._opened.append(opened)
        return opened

    def row(self, id_, table="celery_taskmeta"):
        """As others read it."""
        found = Table(table, MetaData(), autoload_with=self.plain)
        with self.plain.connect() as connection:
            key = found.c.get("task_id", found.c.get("taskset_id"))
            row = connection.execute(found.select().where(key == id_)).mappings().first()
        return None if row is None else dict(row)

    def put(self, id_, status, result, table="celery_taskmeta", **more):
        """A row of somebody else's."""
        found = Table(table, MetaData(), autoload_with=self.plain)
        moment = datetime.now(UTC).replace(tzinfo=None)
        own = {"task_id": id_, "status": status} if table == "celery_taskmeta" else {"taskset_id": id_}
        with self.plain.begin() as connection:
            taken = connection.execute(found.select()).all()
            row = {"id": 10_000 + len(taken), **own, "result": result, "date_done": moment, **more}
            connection.execute(found.insert(), [row])

    def close(self):
        for each in self._opened:
            each.close()
        with self.plain.begin() as connection:
            for name in ("celery_taskmeta", "celery_tasksetmeta", "tasks_of_mine", "groups_of_mine"):
                connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
            if self.kind != "sqlite":
                for name in ("task_id_sequence", "taskset_id_sequence"):
                    connection.execute(text(f"DROP SEQUENCE IF EXISTS {name}"))
            for name in inspect(connection).get_table_names():
                if name.startswith("bb_"):
                    connection.execute(text(f"DELETE FROM {name}"))
        self.engine.dispose()
        self.plain.dispose()


@pytest.fixture(params=in_turn(["sqlite", "postgres", "mariadb"], always=["sqlite"]))
def place(request):
    opened = Place(request.param, request.getfixturevalue(f"{request.param}_url"))
    yield opened
    opened.close()


def ended(commit, id_, outcome, **known):
    message = Message(id=id_, task="shop.add", queue="q", args=Json("[1, 2]"), kwargs=Json("{}"), **known)
    commit.exchange([Transition(message=message, outcome=outcome)])


def test_a_result_stands_in_celerys_table_with_all_that_celery_keeps(place):
    stamps = {"tenant": "acme", "stamped_headers": ["tenant"]}
    ended(
        place.commit(),
        "one",
        Success(value=Json('{"a": [1, "ü"]}'), children=("child",)),
        stamps={"tenant": "acme"},
    )

    row = place.row("one")

    assert (row["status"], json.loads(row["result"]), row["traceback"]) == ("SUCCESS", {"a": [1, "ü"]}, None)
    called = json.loads(row["args"]), json.loads(row["kwargs"]), row["retries"]
    assert (row["name"], row["queue"], row["worker"], *called) == ("shop.add", "q", "w@x", [1, 2], {}, 0)
    assert abs(row["date_done"] - datetime.now(UTC).replace(tzinfo=None)) < timedelta(minutes=5)
    assert json.loads(row["children"])[0][0][0] == "child"
    assert json.loads(row["stamps"]) == {
        "stamped_headers": ["tenant"],
        "stamps": {"tenant": stamps["tenant"]},
    }


def test_an_exception_stands_there_in_celerys_form_with_its_traceback(place):
    error = Error(type="KeyError", module="builtins", args=Json('["k", 1]'), text="'k'")
    ended(place.commit(), "failed", Failure(error=error, traceback="Traceback\x00 \ud800 ..."))

    row = place.row("failed")

    found = json.loads(row["result"])
    assert (found["exc_type"], found["exc_module"], found["exc_message"]) == (
        "KeyError",
        "builtins",
        ["k", 1],
    )
    assert (row["status"], row["traceback"]) == ("FAILURE", "Traceback \\ud800 ...")


def test_only_what_is_ready_is_not_written_over(place):
    commit = place.commit()
    for status in ("SUCCESS", "FAILURE", "RETRY"):
        place.put(f"was-{status}", status, b'"theirs"')
    ids = [f"was-{status}" for status in ("SUCCESS", "FAILURE", "RETRY")]

    commit.tell([Progress(id=id_, state="PROGRESS", value=Json("5")) for id_ in ids])
    told = [place.row(id_)["status"] for id_ in ids]
    for id_ in ids:
        ended(commit, id_, Success(value=Json('"ours"')))
    stored = [json.loads(place.row(id_)["result"]) for id_ in ids]

    assert told == ["SUCCESS", "FAILURE", "PROGRESS"]
    assert stored == ["theirs", "ours", "ours"]


def test_what_others_wrote_is_read_beside_what_is_ours(place):
    commit, results = place.commit(), place.results()
    ended(commit, "ours", Success(value=Json("1")))
    place.put(
        "theirs",
        "SUCCESS",
        b'{"a": 1}',
        name="old.add",
        args=b"[5]",
        kwargs=b"{}",
        worker="celery@x",
        retries=2,
    )
    error = {"exc_type": "KeyError", "exc_module": "builtins", "exc_message": ["k"]}
    place.put("broken", "FAILURE", json.dumps(error).encode(), traceback="Traceback ...")
    place.put("begun", "STARTED", b'{"pid": 1, "hostname": "celery@x"}')

    ours, theirs, broken, begun, nobody = results.get(["ours", "theirs", "broken", "begun", "nobody"])

    assert (ours.value, theirs.value, theirs.ready) == ("1", '{"a": 1}', True)
    assert (theirs.name, theirs.args, theirs.worker, theirs.retries) == ("old.add", "[5]", "celery@x", 2)
    assert (broken.error.type, broken.error.args, broken.traceback) == ("KeyError", '["k"]', "Traceback ...")
    assert [(each.state, each.ready) for each in (begun, nobody)] == [("STARTED", False), ("PENDING", False)]
    assert results.wait(["ours", "theirs", "broken"], 0)
    assert not results.wait(["begun"], 0)
    assert [each.value for each in results.trace(["theirs", "nobody"])] == ["sent", "never"]


def test_who_waits_sees_what_another_program_writes(place):
    results = place.results()
    assert not results.wait(["late"], 0.01)
    place.put("late", "SUCCESS", b"1")

    assert results.wait(["late"], 10)


def test_a_table_of_an_older_celery_is_used_as_it_is_and_has_pickles(place):
    place.make(extended=False)
    commit = place.commit()
    ended(commit, "one", Success(value=Json('[{"__type__": "decimal", "__value__": "1.50"}, 2]')))

    row = place.row("one")

    assert pickle.loads(row["result"]) == [Decimal("1.50"), 2]
    assert "children" not in row
    assert "name" not in row


def test_values_of_an_older_celery_are_read_and_nothing_of_theirs_is_run(place, tmp_path):
    place.make(extended=True)
    mark = tmp_path / "run"

    class Evil:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    commit, results = place.commit(), place.results()
    ended(commit, "ours", Success(value=Json("1")))
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    place.put("value", "SUCCESS", pickle.dumps({"a": [(1, 2), moment, Decimal("1.5"), b"x"]}))
    error = {"exc_type": "KeyError", "exc_module": "builtins", "exc_message": ("k",)}
    place.put("broken", "FAILURE", pickle.dumps(error))
    place.put("class", "SUCCESS", pickle.dumps(OrderedDict(a=1)))
    place.put("evil", "SUCCESS", pickle.dumps(Evil()))
    place.put("torn", "SUCCESS", pickle.dumps("x" * 100)[:50])

    value, broken = results.get(["value", "broken"])

    assert "2026-01-02T00:00:00+00:00" in value.value
    assert (broken.error.type, broken.error.args) == ("KeyError", '["k"]')
    for id_, what in (("class", "collections.OrderedDict"), ("evil", "open"), ("torn", "a pickle")):
        with pytest.raises(DecodeError, match=f"task {id_} .*{what}"):
            results.get([id_])
    assert not mark.exists()


@pytest.mark.parametrize("pickled", [True, False])
def test_the_form_can_be_chosen(place, pickled):
    ended(place.commit(pickled=pickled), "one", Success(value=Json("[1]")))

    raw = place.row("one")["result"]

    assert (raw[:1] == b"\x80") is pickled
    assert place.results(pickled=pickled).get(["one"])[0].value == "[1]"


def test_tables_have_the_names_that_are_asked_for(place):
    named = {"task": "tasks_of_mine", "group": "groups_of_mine"}
    ended(place.commit(**named), "one", Success(value=Json("1")))
    results = place.results(**named)
    results.groups.save("g", '{"result": [["g", null], [[["a", null], null]]]}')

    assert place.row("one", "tasks_of_mine")["status"] == "SUCCESS"
    assert json.loads(place.row("g", "groups_of_mine")["result"]) == [["g", None], [[["a", None], None]]]


def test_what_is_forgotten_or_runs_again_is_gone_from_celerys_table_too(place):
    commit, results = place.commit(), place.results()
    for id_ in ("forgotten", "again"):
        ended(commit, id_, Failure(error=Error(type="ValueError", text="no")))

    results.forget(["forgotten"])
    commit.exchange([Transition(effects=(Restart(("again",), 1, ()),))])

    assert place.row("forgotten") is None
    assert place.row("again") is None


def test_what_ended_long_ago_is_deleted_whoever_wrote_it(place):
    commit = place.commit(keep_seconds=3_600)
    ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=3_700)
    place.put("old", "SUCCESS", b"1", date_done=ago)
    place.put("old", "", b"1", table="celery_tasksetmeta", date_done=ago)
    place.put("young", "SUCCESS", b"1")

    commit.sweep()

    assert (place.row("old"), place.row("old", "celery_tasksetmeta")) == (None, None)
    assert place.row("young") is not None


def test_results_of_others_stay_where_results_are_kept_for_ever(place):
    commit = place.commit(keep_seconds=0)
    place.put("old", "SUCCESS", b"1", date_done=datetime(2001, 1, 1))

    commit.sweep()

    assert place.row("old") is not None


def test_saved_groups_are_shared_and_forgotten_on_both_sides(place):
    results = place.results()
    written = [["g", None], [[["a", None], None], [["b", ["p", None]], None]]]
    results.groups.save("g", json.dumps({"result": written}))
    results.groups.save("g", json.dumps({"result": written}))
    results.groups.save("short", '{"result": [["short", null], 1000000]}', is_short=True)
    place.put("theirs", "", json.dumps(written).encode(), table="celery_tasksetmeta")

    assert json.loads(place.row("g", "celery_tasksetmeta")["result"]) == written
    assert place.row("short", "celery_tasksetmeta") is None
    assert json.loads(results.groups.load("theirs")) == {"result": written}
    for id_ in ("g", "theirs"):
        results.groups.delete(id_)
        assert (results.groups.load(id_), place.row(id_, "celery_tasksetmeta")) == (None, None)


def test_a_group_that_an_older_celery_pickled_is_refused_with_the_reason(place):
    results = place.results()
    place.put("g", "", pickle.dumps(OrderedDict()), table="celery_tasksetmeta")

    with pytest.raises(DecodeError, match=r"group g .*collections\.OrderedDict"):
        results.groups.load("g")


def test_ids_and_names_that_celery_has_no_place_for_hold_up_nothing(place):
    commit, long = place.commit(), "x" * 200
    message = Message(id=long, task="t", queue="q")
    other = Message(id="other", task="t" * 200, queue="q" * 200)
    commit.exchange([Transition(message=each, outcome=Success(value=Json("1"))) for each in (message, other)])
    commit.exchange([Transition(effects=(Settle("unstarted", Success(value=Json("2")), "t" * 200),))])

    assert place.results().get([long])[0].value == "1"
    assert place.row(long) is None
    assert place.row("other")["name"] == "t" * 155
    assert place.row("unstarted")["status"] == "SUCCESS"


def test_a_row_that_the_table_refuses_holds_up_nothing_and_is_logged(place, caplog):
    place.make(extended=True, more=", CHECK (status <> 'FAILURE')")
    commit, error = place.commit(), Error(type="ValueError", text="no")
    outcomes = {"refused": Failure(error=error), "taken": Success(value=Json("1"))}
    messages = [Message(id=id_, task="t", queue="q") for id_ in outcomes]
    commit.exchange([Transition(message=each, outcome=outcomes[each.id]) for each in messages])

    found = place.results().get(["refused", "taken"])

    assert [(each.state, each.ready) for each in found] == [("FAILURE", True), ("SUCCESS", True)]
    assert (place.row("refused"), place.row("taken")["status"]) == (None, "SUCCESS")
    # the database's driver may log on its own what it could not end: only ours count here
    ours = [record for record in caplog.records if record.name.startswith("backbeat")]
    assert [(record.action, record.id) for record in ours] == [("celery_row_refused", "refused")]


class Unpicklable:
    def __reduce__(self):
        raise OSError("no")


def test_a_value_that_no_pickle_holds_is_an_error_for_others(place, monkeypatch):
    monkeypatch.setattr(kombu_json, "_encoders", dict(kombu_json._encoders))
    monkeypatch.setattr(kombu_json, "_decoders", dict(kombu_json._decoders))
    kombu_json.register_type(Unpicklable, "unpicklable", repr, lambda _: Unpicklable())
    value = '{"__type__": "unpicklable", "__value__": "x"}'
    ended(place.commit(pickled=True), "odd", Success(value=Json(value)))

    row, results = place.row("odd"), place.results(pickled=True)

    assert json.loads(results.get(["odd"])[0].value) == json.loads(value)
    assert (row["status"], "cannot be pickled" in str(pickle.loads(row["result"]))) == ("FAILURE", True)


def test_a_value_of_more_levels_than_a_stack_has_holds_up_nothing(place, caplog):
    ended(place.commit(), "deep", Success(value=Json("[" * 2_000 + "]" * 2_000)))

    assert place.row("deep") is None
    assert [(record.action, record.id) for record in caplog.records] == [("celery_row_refused", "deep")]


def test_a_result_that_celerys_column_does_not_hold_is_whole_for_us_and_an_error_for_others(place):
    place.make(extended=True)
    value = json.dumps("x" * 70_000)
    ended(place.commit(pickled=False), "large", Success(value=Json(value)))

    row = place.row("large")

    assert place.results(pickled=False).get(["large"])[0].value == value
    if place.kind == "mariadb":
        assert (row["status"], "LONGBLOB" in row["result"].decode()) == ("FAILURE", True)
    else:
        assert json.loads(row["result"]) == "x" * 70_000
