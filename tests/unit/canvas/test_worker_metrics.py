"""What a worker counts, as metrics: documented names, bounded labels."""

from __future__ import annotations

import json
import re
from pathlib import Path

import promql_parser
import pytest
from backbeat.canvas.commit.transition import Transition
from backbeat.canvas.exposition import Exposition
from backbeat.canvas.message import Message
from backbeat.canvas.outcome import Error, Failure, Retry, Revoked, Success
from backbeat.canvas.worker.exposition import WorkerFigures
from backbeat.canvas.worker.tasks_counted import ENDS, TasksCounted
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[3]
BOARD = json.loads((ROOT / "examples" / "grafana" / "backbeat.json").read_text())
DOCUMENTED = dict(
    re.findall(r"^\| `(backbeat_\w+)` \| (\w+) \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
)
ERROR = Error(type="ValueError", module="builtins", args=["no"], text="no")


def message(task):
    return Message(id="t1", task=task, queue="celery")


def ended(task, outcome):
    return Transition(message=message(task), outcome=outcome)


@pytest.fixture
def counted():
    return TasksCounted({"shop.add", 'shop."odd"\n\\', "shop.\ud800"})


def families(counted):
    text = Exposition(WorkerFigures(counted, pool="threads", version="1.2")).text().decode()
    return {each.name: each for each in text_string_to_metric_families(text)}


def samples(counted, name):
    return {
        tuple(sorted(s.labels.items())): s.value
        for s in families(counted)[name].samples
        if s.name.endswith("_total")
    }


def test_ends_are_counted_by_task_and_outcome(counted):
    counted.started(message("shop.add"))
    for outcome in (Success(value="3"), Failure(error=ERROR), Revoked(reason="revoked"), Success(value="4")):
        counted.applied(ended("shop.add", outcome), 0.02)

    found = samples(counted, "backbeat_worker_tasks_ended")

    assert found == {
        (("outcome", "succeeded"), ("task", "shop.add")): 2,
        (("outcome", "failed"), ("task", "shop.add")): 1,
        (("outcome", "revoked"), ("task", "shop.add")): 1,
    }
    (started,) = samples(counted, "backbeat_worker_tasks_started").values()
    assert started == 1


def test_run_times_fill_a_histogram(counted):
    for seconds in (0.001, 0.02, 0.02, 4_000.0):
        counted.applied(ended("shop.add", Success(value="3")), seconds)
    counted.applied(ended("shop.add", Revoked(reason="revoked")), None)

    buckets = {
        s.labels["le"]: s.value
        for s in families(counted)["backbeat_worker_task_seconds"].samples
        if "le" in s.labels
    }

    assert (buckets["0.005"], buckets["0.025"], buckets["1800.0"], buckets["+Inf"]) == (1, 3, 3, 4)


def test_names_that_the_app_does_not_have_make_one_series(counted):
    for number in range(10_000):
        counted.started(message(f"made.up.{number}"))
        counted.applied(ended(f"made.up.{number}", Failure(error=ERROR)), None)

    assert samples(counted, "backbeat_worker_tasks_started") == {(("task", "unknown"),): 10_000}


def test_a_name_with_quotes_and_line_ends_is_one_label(counted):
    counted.started(message('shop."odd"\n\\'))

    assert samples(counted, "backbeat_worker_tasks_started") == {(("task", 'shop."odd"\n\\'),): 1}


def test_a_name_that_utf_8_cannot_hold_costs_nobody_the_page(counted):
    counted.started(message("shop.\ud800"))

    assert samples(counted, "backbeat_worker_tasks_started") == {(("task", "shop.\\ud800"),): 1}


def test_parts_that_share_a_name_are_refused(counted):
    figures = WorkerFigures(counted, pool="threads", version="1.2")

    with pytest.raises(ValueError, match="Duplicated"):
        Exposition(figures, figures)


def test_a_task_that_keeps_the_loop_from_turning_runs(counted):
    counted.size = lambda: 1
    counted.started(message("shop.add"))

    values = {s.name: s.value for each in families(counted).values() for s in each.samples}
    assert (values["backbeat_worker_tasks_running"], values["backbeat_worker_size"]) == (1, 1)


def test_tasks_of_ours_are_not_counted(counted):
    counted.started(message("backbeat.join"))
    counted.applied(ended("backbeat.join", Success(value="null")), 0.1)

    assert samples(counted, "backbeat_worker_tasks_started") == {}
    assert samples(counted, "backbeat_worker_tasks_ended") == {}


def test_the_metrics_of_a_worker_are_those_of_the_documents_in_name_and_kind(counted):
    counted.applied(ended("shop.add", Retry(error=ERROR, eta_us=0)), 0.1)
    counted.lost(None, "gone")
    counted.passed(2, "away")

    found = {
        f"{name}_total" if each.type == "counter" else name: each.type
        for name, each in families(counted).items()
        if name.startswith("backbeat_")
    }

    assert found == {name: kind for name, kind in DOCUMENTED.items() if name.startswith("backbeat_worker_")}
    values = {s.name: s.value for each in families(counted).values() for s in each.samples}
    assert (values["backbeat_worker_tasks_running"], values["backbeat_worker_consuming"]) == (2, 0)


# --- the dashboard for Grafana -------------------------------------------------------------------------------------------------

LABELS = {"le", "reason", "task", "outcome", "version", "pool"}


def expressions():
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


def test_the_dashboard_for_grafana_names_what_there_is():
    known = set(DOCUMENTED) | {f"{name}_bucket" for name, kind in DOCUMENTED.items() if kind == "histogram"}
    for expression in expressions():
        promql_parser.parse(expression.replace("$__rate_interval", "5m"))
        names = set(re.findall(r"backbeat_\w+", expression))
        assert names
        assert names <= known
        for inside in re.findall(r"by \(([^)]*)\)", expression):
            assert set(re.split(r",\s*", inside)) <= LABELS
        for outcome in re.findall(r'outcome="(\w+)"', expression):
            assert outcome in ENDS


def test_the_dashboard_for_grafana_has_the_shape_that_it_loads():
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= BOARD.keys()
    (variable,) = BOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    cells = set()
    for panel in BOARD["panels"]:
        assert panel["datasource"]["uid"] == f"${{{variable['name']}}}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & own
        cells |= own
