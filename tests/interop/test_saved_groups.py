"""Groups and results that one side stores by hand and the other reads: backbeat and a real Celery 5.7 client on one Redis."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas import App, AsyncResult, GroupResult
from backbeat.canvas.json_text import Json
from backbeat.canvas.outcome import State
from backbeat.canvas.redis_client import open_redis
from backbeat.canvas.results.document import Document, to_text

from support.celery_env import from_celery, run_celery
from support.stacks import own_redis_database

CLIENT = """
import json, sys
from celery import Celery
from celery.result import AsyncResult, GroupResult, result_from_tuple
app = Celery("client", broker=sys.argv[1], backend=sys.argv[1])
app.conf.update(json.loads(sys.argv[2]))
"""

READS = """
group = GroupResult.restore("ours", app=app)
print(json.dumps([
    group.as_tuple(),
    [type(group).__name__, type(group[1]).__name__, group.id, group.parent.id],
    group.join(timeout=5, propagate=False)[:2],
    [group.completed_count(), group.ready(), repr(group[2].result), group[2].traceback],
    [app.AsyncResult("revoked").state, GroupResult.restore("nobody", app=app)],
    sorted(map(str, app.AsyncResult("a").children)),
]))
group.delete()
"""

WRITES = """
for id_, value in [("a", 1), ("b", 2), ("c", 3), ("parent", 0)]:
    app.backend.store_result(id_, value, "SUCCESS")
app.backend.store_result("d", ValueError("no", 7), "FAILURE")
inner = GroupResult("inner", [app.AsyncResult("b"), app.AsyncResult("c")], app=app)
parent = app.AsyncResult("parent")
members = [app.AsyncResult("a", parent=parent), inner, app.AsyncResult("d")]
group = GroupResult("theirs", members, parent=parent, app=app)
group.save()
print(json.dumps(group.as_tuple()))
"""


@pytest.fixture
def url():
    with own_redis_database() as found:
        yield found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"result_compression": "gzip"}, marks=from_celery("5.7", "it compresses no results")),
        {"result_backend_transport_options": {"global_keyprefix": "mine"}, "result_expires": None},
    ],
    ids=["plain", "compressed", "prefixed"],
)
def test_g9_a_group_that_backbeat_saved_is_restored_by_celery(url, settings):
    with App("ours", broker=url, set_as_current=False, **settings) as app:
        app.backend.store_result("a", 1, "SUCCESS")
        app.backend.store_result("b", "ü" * 2_000, "SUCCESS")
        app.backend.store_result("c", ValueError("no", 7), "FAILURE", traceback="by hand")
        app.backend.mark_as_revoked("revoked")
        parent = AsyncResult("parent", app=app)
        inner = GroupResult("inner", [AsyncResult("b", app=app)], app=app)
        members = [AsyncResult("a", app=app, parent=parent), inner, AsyncResult("c", app=app)]
        ours = GroupResult("ours", members, parent, app)
        ours.save()

        written, kinds, values, known, others, children = run_celery(
            CLIENT + READS, url, json.dumps(settings)
        )

        assert written == json.loads(json.dumps(ours.as_tuple()))
        assert kinds == ["GroupResult", "GroupResult", "ours", "parent"]
        assert values == [1, ["ü" * 2_000]]
        assert known == [2, True, "ValueError('no', 7)", "by hand"]
        assert (others, children) == (["REVOKED", None], [])
        assert GroupResult.restore("ours", app=app) is None


@pytest.mark.parametrize(
    "settings",
    [{}, pytest.param({"result_compression": "bzip2"}, marks=from_celery("5.7", "it compresses no results"))],
    ids=["plain", "compressed"],
)
def test_g9_a_group_that_celery_saved_is_restored_by_backbeat(url, settings):
    written = run_celery(CLIENT + WRITES, url, json.dumps(settings))

    with App("ours", broker=url, set_as_current=False, **settings) as app:
        found = app.GroupResult.restore("theirs")

        assert json.loads(json.dumps(found.as_tuple())) == written
        assert repr(found.get(timeout=5, propagate=False)) == "[1, [2, 3], ValueError('no', 7)]"
        with pytest.raises(ValueError, match="no"):
            found.join(timeout=5)
        assert (found.parent.get(timeout=5), found.completed_count()) == (0, 3)
        assert (found[0].date_done.tzinfo is None, found[0].parent == "parent") == (False, True)
        found.delete()
    assert run_celery(CLIENT + 'print(json.dumps(GroupResult.restore("theirs", app=app)))', url, "{}") is None


CHILDREN = """
task = app.AsyncResult("task")
body, group, single = task.children
print(json.dumps([
    [type(each).__name__ for each in (body, body.parent, group, single)],
    [task.get(timeout=5), body.id, body.parent.id, [each.id for each in group], single.id],
    [str(node) for _, node in task.iterdeps(intermediate=True)],
]))
"""


def test_o2_children_of_all_kinds_are_handles_for_celery(url):
    group = (("group", None), ((("m1", None), None), (("m2", None), None)))
    document = Document(
        id="task",
        state=State.SUCCESS,
        value=Json("1"),
        date_done="2026-01-01T00:00:00+00:00",
        children=((("body", group), None), group, "single"),
    )
    client = open_redis(url)
    client.set("celery-task-meta-task", to_text(document))
    client.close()

    kinds, known, nodes = run_celery(CLIENT + CHILDREN, url, "{}")

    assert kinds == ["AsyncResult", "GroupResult", "GroupResult", "AsyncResult"]
    assert known == [1, "body", "group", ["m1", "m2"], "single"]
    assert nodes == ["task", "body", "group", "single"]
    with App("ours", broker=url, set_as_current=False) as app:
        assert [str(node) for _, node in app.AsyncResult("task").iterdeps(intermediate=True)] == nodes
