"""One trace spans all that comes of a firing, whatever runs it: the spans are those that real beats and workers write down."""

from __future__ import annotations

import signal
from collections import defaultdict

import pytest

from support.journal import read_lines
from support.processes import wait_until
from support.stacks import GREEN_POOLS, open_stack
from support.traced_tasks import NAME, SPANS

FILE = f"""\
schedules:
  nightly:
    every: 500ms
    max_runs: 2
    chain:
      - task: {NAME}.first
        on_success: {{task: {NAME}.note}}
      - chord:
          header: [{{task: {NAME}.MEMBER}}, {{task: {NAME}.again}}]
          body: {{task: {NAME}.fail}}
    on_error: {{task: {NAME}.told_of}}
"""
EDGES = {
    ("nightly publish", None),
    ("first process", "nightly publish"),
    ("work", "first process"),
    ("sent publish", "work"),
    ("sent process", "sent publish"),
    ("note process", "first process"),
    ("MEMBER process", "first process"),
    ("wait", "MEMBER process"),
    ("again process", "first process"),
    ("fail process", "first process"),
    ("told_of process", "fail process"),
}
"""Each kind of span, and of which other it is the child."""
PLACES = [
    ("sqlite", "processes"),
    ("sqlite", "asyncio"),
    *(("sqlite", pool) for pool in GREEN_POOLS),
    ("redis", "processes"),
    ("redis", "threads"),
    ("redis", "asyncio"),
    ("redis", "solo"),
    ("rabbitmq+postgres", "processes"),
]


def plain(name):
    return name.removeprefix(f"{NAME}.")


def spans_of(log):
    """The spans of each trace."""
    traces = defaultdict(list)
    for line in read_lines(log):
        traces[line["trace"]].append(line)
    return dict(traces)


def edges_of(spans, member):
    names = {span["span"]: plain(span["name"]).replace(member + " ", "MEMBER ") for span in spans}
    return [(names[span["span"]], span["parent"] and names[span["parent"]]) for span in spans]


@pytest.mark.parametrize(("servers", "pool"), PLACES)
def test_a_firing_its_tasks_links_chord_and_error_callback_are_one_trace(
    servers, pool, programs, tmp_path, log
):
    member = "hold" if pool in GREEN_POOLS else "wait"
    (tmp_path / "schedules.yaml").write_text(FILE.replace("MEMBER", member))
    with open_stack(servers, tmp_path) as stack:
        stack.tasks = NAME
        environ = {SPANS: str(log)}
        options = ["-q", *stack.options, "--store", f"sqlite:///{tmp_path}/ledger.db"]
        worker = programs.start(*options, "worker", "-P", pool, environ=environ)
        beat = programs.start(*options, "beat", "-s", tmp_path / "schedules.yaml", environ=environ)
        wait_until(
            lambda: sum(line["name"].endswith("told_of process") for line in read_lines(log)) == 2,
            what=lambda: f"{beat.text}\n{worker.text}\n{read_lines(log)}",
        )
        wait_until(lambda: len(read_lines(log)) == 2 * (len(EDGES) + 1), what=lambda: spans_of(log))
        for program in (beat, worker):
            program.send(signal.SIGTERM)
            assert program.wait() == 0, program.text

    traces = spans_of(log)
    assert len(traces) == 2
    for spans in traces.values():
        found = edges_of(spans, member)
        assert set(found) == EDGES
        assert len(found) == len(EDGES) + 1  # the second attempt
        attempts = [span for span in spans if plain(span["name"]) == "again process"]
        assert [
            (s["attributes"]["backbeat.retries"], s["attributes"]["backbeat.state"], s["events"])
            for s in attempts
        ] == [
            (0, "RETRY", ["retry"]),
            (1, "SUCCESS", []),
        ]
        (failed,) = (span for span in spans if plain(span["name"]) == "fail process")
        assert (failed["kind"], failed["status"], failed["events"]) == ("CONSUMER", "ERROR", ["exception"])
        assert failed["attributes"]["error.type"] == "ValueError"


def test_without_a_tracer_provider_no_message_says_a_trace(stack, programs):
    stack.tasks = NAME
    worker = programs.start("-q", *stack.options, "worker", "-c", 1)

    assert stack.app.signature(f"{NAME}.header").delay().get(timeout=60) is None

    worker.send(signal.SIGTERM)
    assert worker.wait() == 0, worker.text


@pytest.mark.parametrize("pool", ["processes", "asyncio"])
def test_with_task_traces_off_a_worker_with_a_provider_records_nothing_but_what_tasks_do(
    pool, programs, tmp_path, log
):
    with open_stack("sqlite", tmp_path) as stack:
        stack.tasks = NAME
        environ = {SPANS: str(log), "BACKBEAT_TEST_TRACES": "off"}
        worker = programs.start("-q", *stack.options, "worker", "-P", pool, environ=environ)

        assert stack.app.signature(f"{NAME}.wait", [1]).delay().get(timeout=60) == 1
        assert stack.app.signature(f"{NAME}.header").delay().get(timeout=60) is None

        worker.send(signal.SIGTERM)
        assert worker.wait() == 0, worker.text
    assert [line["name"] for line in read_lines(log)] == ["wait"]
