"""Result documents: Celery's fields, in and out."""

from __future__ import annotations

import json
from datetime import date

import pytest
from backbeat.canvas.codec import dumps, loads
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Ignored, Rejected, Retry, Revoked, State, Success
from backbeat.canvas.results.document import Document, document_of, from_text, to_text
from msgspec.structs import replace

NOW = 1_750_000_000_000_000
MESSAGE = Message(
    id="t1", task="add", args="[1]", kwargs='{"y": 2}', parent_id="p", attempt=2, queue="q", group_id="g"
)
ERROR = Error(
    type="ValueError",
    module="proj",
    args='["no", 1]',
    text="it is no",
    node="t0",
    cause=Error(type="KeyError", args='["k"]', text="'k'", cause=Error(type="OSError", text="x")),
)
RICH = replace(
    ERROR,
    args=dumps([(1, {2})]),
    attributes=dumps({"code": (5, "x"), "when": date(2026, 1, 2)}),
    notes=("first", "second"),
    members=(Error(type="KeyError", attributes="{}"), replace(ERROR, notes=("n",))),
)


def document(outcome, **known):
    return document_of("t1", outcome, now_us=NOW, **known)


def test_a_success_as_celery_writes_it():
    found = document(Success(value="[3]", children=("c1",)), message=MESSAGE, children=("c2",), worker="w@h")

    assert json.loads(to_text(found)) == {
        "status": "SUCCESS",
        "result": [3],
        "traceback": None,
        "children": [[["c1", None], None], [["c2", None], None]],
        "date_done": "2025-06-15T15:06:40+00:00",
        "task_id": "t1",
        "group_id": "g",
        "parent_id": "p",
        "name": "add",
        "args": [1],
        "kwargs": {"y": 2},
        "worker": "w@h",
        "retries": 2,
        "queue": "q",
    }


def test_an_error_as_celery_writes_it_with_what_is_ours_beside_it():
    data = json.loads(to_text(document(Failure(error=ERROR, traceback="tb"))))

    assert (data["status"], data["traceback"]) == ("FAILURE", "tb")
    assert {key: data["result"][key] for key in ("exc_type", "exc_module", "exc_message")} == {
        "exc_type": "ValueError",
        "exc_module": "proj",
        "exc_message": ["no", 1],
    }
    assert data["result"]["exc_cause"]["exc_type"] == "KeyError"
    assert "group_id" not in data
    assert "name" not in data


@pytest.mark.parametrize(
    ("outcome", "state", "ready", "error"),
    [
        (Success(value="1"), State.SUCCESS, True, None),
        (Success(value=dumps([(1, 2), {"a": {3}}])), State.SUCCESS, True, None),
        (Failure(error=ERROR, traceback="tb"), State.FAILURE, True, "ValueError"),
        (Failure(error=RICH, traceback="tb"), State.FAILURE, True, "ValueError"),
        (Revoked(reason="expired"), State.REVOKED, True, "TaskRevokedError"),
        (Rejected(reason="no"), State.REJECTED, True, "Reject"),
        (Ignored(), State.IGNORED, True, "Ignore"),
        (Retry(eta_us=1, error=ERROR, traceback="tb"), State.RETRY, False, "ValueError"),
        (Retry(eta_us=1), State.RETRY, False, None),
    ],
)
@pytest.mark.parametrize("message", [MESSAGE, None], ids=["message", "bare"])
def test_each_outcome_has_a_document_that_survives(outcome, state, ready, error, message):
    found = document(outcome, message=message)

    assert (found.state, found.ready) == (state, ready)
    assert (found.error and found.error.type) == error
    assert _spaced(from_text(to_text(found))) == _spaced(found)


def _spaced(found):
    """With values that are equal if they mean the same."""
    return replace(found, value=json.loads(found.value), error=found.error and _spaced_error(found.error))


def _spaced_error(error):
    return replace(
        error,
        args=json.loads(error.args),
        attributes=error.attributes and json.loads(error.attributes),
        cause=error.cause and _spaced_error(error.cause),
        members=tuple(map(_spaced_error, error.members)),
    )


def test_celery_sees_the_nearest_plain_values_and_we_what_they_were():
    text = to_text(document(Success(value=dumps([(1, 2), {3}, "x"]))))

    assert json.loads(text)["result"] == [[1, 2], [3], "x"]
    assert loads(from_text(text).value) == [(1, 2), {3}, "x"]
    text = to_text(document(Failure(error=RICH)))
    assert json.loads(text)["result"]["exc_message"] == [[1, [2]]]
    assert loads(from_text(text).error.args) == [(1, {2})]
    assert "backbeat_result" not in json.loads(text)


def test_plain_values_and_errors_are_written_once():
    assert "backbeat_result" not in to_text(document(Success(value='["tuple"]')))
    assert json.loads(to_text(document(Failure(error=ERROR))))["result"].keys() == {
        *("exc_type", "exc_module", "exc_message", "exc_text", "exc_node", "exc_cause")
    }


def test_what_is_settled_without_a_message_may_still_have_a_name():
    assert document(Failure(error=ERROR), name="later").name == "later"


@pytest.mark.parametrize(
    ("result", "args", "text"),
    [
        ({"exc_type": "ValueError", "exc_message": ["no"], "exc_module": "builtins"}, '["no"]', "no"),
        ({"exc_type": "ValueError", "exc_message": "no", "exc_module": "builtins"}, '["no"]', "no"),
        ({"exc_type": "ValueError", "exc_message": ["a", 1], "exc_module": "builtins"}, '["a", 1]', "a, 1"),
        ({"exc_type": "ValueError", "exc_message": [], "exc_module": None}, "[]", ""),
        ({"exc_type": "ValueError"}, "[]", ""),
    ],
)
def test_errors_of_celery_workers_are_read(result, args, text):
    found = from_text(json.dumps({"status": "FAILURE", "result": result, "task_id": "t1", "traceback": "tb"}))

    assert (found.error.type, found.error.module, found.error.args, found.error.text) == (
        "ValueError",
        "builtins",
        args,
        text,
    )


def test_a_value_that_looks_like_an_error_is_still_a_value():
    value = '{"exc_type": "ValueError", "exc_message": ["no"]}'
    found = from_text(to_text(document(Success(value=value))))

    assert found.error is None
    assert json.loads(found.value) == json.loads(value)


def test_states_of_a_tasks_own_making_are_read_as_they_are_also_if_they_speak_of_an_exception():
    told = {"done": 5, "exc_type": "ValueError"}
    text = json.dumps({"status": "PROGRESS", "result": told, "task_id": "t1"})

    found = from_text(text)

    assert (found.state, found.ready, json.loads(found.value)) == ("PROGRESS", False, told)


def test_children_of_celery_workers_are_read_with_their_parents():
    children = [[["c1", None], None], [["g", ["p", None]], [[["m", None], None]]]]
    text = json.dumps({"status": "SUCCESS", "result": 1, "task_id": "t1", "children": children})

    group = (("g", (("p", None), None)), ((("m", None), None),))
    assert from_text(text).children == ("c1", group)
    assert from_text(to_text(from_text(text))).children == ("c1", group)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"status": "SUCCESS"}', '"x"', "5"])
def test_what_is_no_document_is_refused(text):
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_text(text)


def test_an_unknown_task_is_pending():
    found = Document(id="x")

    assert (found.state, found.ready) == (State.PENDING, False)
    assert replace(found, date_done="2026").ready
