"""The fifteen commonest mistakes, each with the text that is promised there; and what an app adds to it."""

from __future__ import annotations

import functools

import pytest
from backbeat.canvas import App
from backbeat.scheduler.files import parse
from backbeat.scheduler.files.fit import fit
from backbeat.scheduler.files.gap import gap_warnings

TASK = "schedules:\n  {}:\n    task: t\n"


def rendered(text: str) -> tuple[str, str]:
    """Code with message, and help, of the only problem."""
    (problem,) = parse(text, "s.yaml", {}).problems
    who = f"{problem.schedule}: " if problem.schedule else ""
    return f"{problem.code} {who}{problem.message}", problem.help


@pytest.mark.parametrize(
    ("text", "message", "help_text"),
    [
        (
            TASK.format("a") + "    cron: */5 * * * *\n",
            "E101 not valid YAML: `*` starts an alias",
            'put quotes around it: `cron: "*/5 * * * *"`',
        ),
        ("schedules:\n\ta:\n", "E102 a tab is used for indentation", "use two spaces"),
        (
            "schedules:\n  cleanup: {task: t, every: 1h}\n\n  cleanup: {task: t, every: 1h}\n",
            'E110 cleanup: duplicate schedule "cleanup" (first on line 2)',
            "remove or rename one",
        ),
        (
            "schedules:\n  - task: t\n",
            "E111 schedules must be a mapping of names, found a list",
            "write `ping:` on its own line instead of `- task: …`",
        ),
        (
            TASK.format("ping") + "    interval: 5m\n",
            'E120 ping: unknown key "interval"',
            "write `every: 5m`",
        ),
        (
            "schedules:\n  etl:\n    every: 1h\n    chain: [{task: a}, {tsk: b}]\n",
            'E120 etl: step 2: unknown key "tsk"',
            'did you mean "task"?',
        ),
        (
            TASK.format("ping") + "    every: 5m\n    queue: fast\n",
            'E121 ping: "queue" belongs under options',
            "`options: {queue: fast}`",
        ),
        (TASK.format("ping"), "E130 ping: says what to run but not when", "add every:, cron: or at:"),
        (
            TASK.format("ping") + '    every: 5m\n    cron: "0 3 * * *"\n',
            "E131 ping: has both every (line 4) and cron (line 5)",
            "keep one",
        ),
        (
            TASK.format("nightly") + '    cron: "61 2 * * *"\n',
            'E140 nightly: minute 61 is out of range 0-59 (first field of "61 2 * * *")',
            "",
        ),
        (
            TASK.format("a") + '    cron: "0 0 12 * * ?"\n',
            'E141 a: "0 0 12 * * ?" has 6 fields, expected 5 (minute hour day month weekday)',
            'the seconds field was dropped: "0 12 * * *"',
        ),
        (
            TASK.format("a") + '    cron: "30 2 13 * 5"\n',
            "W142 a: runs on the 13th and also every Friday",
            "for Friday the 13th add `day_match: all`; for this meaning add `day_match: any`",
        ),
        (
            TASK.format("a") + "    every: 1h\n    timezone: Europe/Berln\n",
            'E150 a: unknown time zone "Europe/Berln"',
            "did you mean Europe/Berlin?",
        ),
        (
            TASK.format("a") + "    every: 5 minuts\n",
            'E160 a: "5 minuts" is not a duration',
            "30s, 5m, 1h30m, 2h, 1d",
        ),
    ],
    ids=[f"mistake {number}" for number in range(1, 15)],
)
def test_each_of_the_commonest_mistakes_gets_its_promised_text(text, message, help_text):
    assert rendered(text) == (message, help_text)


def app_with_tasks() -> App:
    app = App("shop", broker="memory://")

    @app.task(name="reports.nightly")
    def nightly(day, *, copies=1):
        """One argument, one by name."""

    @app.task(name="shop.join")
    def join(parts):
        """One."""

    @app.task(name="shop.tick", bind=True)
    def tick(self):
        """None: `self` is the task."""

    @app.task(name="shop.alert")
    def alert(request, exception, traceback):
        """An error callback of Celery's newer kind."""

    @app.task(name="shop.silent", ignore_result=True)
    def silent():
        """Leaves no result."""

    return app


def fits(schedule: str, *, has_results=True, ignores_results=False) -> list[tuple[str, str, str]]:
    loaded = parse(f"schedules:\n  it: {{every: 1h, {schedule}}}\n", "s.yaml", {})
    assert loaded.problems == ()
    app = app_with_tasks()
    found = fit(loaded, app.tasks, has_results=has_results, ignores_results=ignores_results)
    return [(each.code, f"{each.schedule}: {each.message}", each.help) for each in found]


def test_mistake_15_a_task_that_is_not_registered_is_told_with_the_nearest():
    assert fits("task: reports.nigthly") == [
        ("E170", 'it: the app has no task "reports.nigthly"', 'did you mean "reports.nightly"?')
    ]
    assert fits("task: other.join")[0][2] == 'did you mean "shop.join"?'
    known = fits("task: zzz")[0][2]  # tasks that others share with every app may stand there, too
    assert known.startswith("known are ")
    assert "reports.nightly, shop.alert" in known


def test_a_task_that_is_not_registered_is_told_at_its_step():
    found = fits(
        "chain: [{task: reports.nightly, args: [1]}, {group: [{task: shop.join}, {task: shop.jion}]}],"
        " on_error: {task: shop.alrt}"
    )

    assert [message for _, message, _ in found] == [
        'it: step 2: step 2: the app has no task "shop.jion"',
        'it: on_error: the app has no task "shop.alrt"',
    ]


def test_a_task_of_a_named_workflow_is_told_once_at_the_workflow():
    loaded = parse(
        "workflows:\n  w: {chain: [{task: shop.tick}, {task: nope}]}\n"
        "schedules: {a: {workflow: w, every: 1h}, b: {workflow: w, every: 1h}}\n",
        "s.yaml",
        {},
    )

    (problem,) = fit(loaded, app_with_tasks().tasks, has_results=True, ignores_results=False)

    assert (problem.code, problem.line) == ("E170", 2)
    assert problem.message == 'workflow "w": step 2: the app has no task "nope"'


@pytest.mark.parametrize(
    "schedule",
    [
        "task: reports.nightly, args: [1]",
        "task: reports.nightly, kwargs: {day: 1, copies: 2}",
        "task: shop.tick",
        "chain: [{task: shop.tick}, {task: shop.join}]",
        "chain: [{task: shop.tick}, {task: shop.tick, immutable: true}]",
        "chain: [{task: shop.tick}, {group: [{task: shop.join}, {task: reports.nightly}]}, {task: shop.join}]",
        "chord: {header: [{task: shop.tick}], body: {task: shop.join}}",
        "task: shop.tick, on_success: {task: shop.join}, on_error: {task: shop.alert}",
        "task: shop.tick, on_error: {task: reports.nightly, kwargs: {copies: 2}}",
        "task: celery.backend_cleanup",
    ],
)
def test_arguments_that_fit_are_no_problem(schedule):
    assert fits(schedule) == []


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("task: reports.nightly", "missing a required argument: 'day'"),
        ("task: reports.nightly, args: [1, 2]", "too many positional arguments"),
        ("task: reports.nightly, args: [1], kwargs: {copy: 2}", "got an unexpected keyword argument 'copy'"),
        ("task: shop.tick, args: [1]", "too many positional arguments"),
        (
            "chain: [{task: shop.tick}, {task: shop.tick}]",
            "step 2: the arguments do not fit shop.tick: too many positional arguments, after the result of the step before",
        ),
        ("chain: [{task: shop.tick}, {task: shop.join, immutable: true}]", "missing a required argument"),
        ("chord: {header: [{task: shop.join}], body: {task: shop.join}}", "header, step 1: the arguments"),
        ("task: shop.tick, on_error: {task: shop.tick}", "on_error: the arguments do not fit shop.tick"),
    ],
)
def test_arguments_that_do_not_fit_are_a_warning(schedule, message):
    ((code, text, help_text),) = fits(schedule)

    assert code == "W171"
    assert message in text
    assert "it is called as" in help_text


def test_a_signature_that_python_does_not_know_is_not_judged():
    app = app_with_tasks()
    app.task(name="shop.partial")(functools.partial(print))
    app.task(name="shop.builtin")(max)

    loaded = parse("schedules: {a: {task: shop.builtin, args: [1, 2, 3], every: 1h}}", "s", {})

    assert fit(loaded, app.tasks, has_results=True, ignores_results=False) == []


def test_overlap_needs_results_of_the_app_or_of_the_task():
    text = "overlap: skip, task: {}"

    assert fits(text.format("shop.tick")) == []
    assert fits(text.format("shop.tick"), has_results=False)[0][:2] == (
        "W180",
        "it: overlap: skip needs to see the end of a run, but the app has no result backend",
    )
    assert "its result is ignored" in fits(text.format("shop.silent"))[0][1]
    assert "its result is ignored" in fits(text.format("shop.tick"), ignores_results=True)[0][1]
    assert fits(text.format("shop.silent") + ", options: {ignore_result: false}") == []
    assert fits("overlap: allow, task: shop.silent", has_results=False) == []


WINTER_US = 1_768_435_200_000_000  # 2026-01-15


def gaps(body: str, now_us: int = WINTER_US) -> list[str]:
    loaded = parse(f"timezone: Europe/Berlin\nschedules:\n  it: {{task: t, {body}}}\n", "s", {})
    assert loaded.problems == ()
    found = gap_warnings(loaded.definitions, now_us)
    assert {problem.code for problem in found} <= {"W192"}
    return [problem.message for problem in found]


def test_a_cron_time_that_the_next_clock_change_skips_is_told_with_the_day():
    assert gaps('cron: "30 2 * * *"') == [
        '"30 2 * * *" names a time that 29 March 2026 does not have in Europe/Berlin: the clock jumps over 60 minutes'
    ]
    assert len(gaps('cron: ["15 2 * * *", "45 2 * * 0"]')) == 2
    assert len(gaps('any: [{cron: "30 2 * * *"}, {cron: "30 2 * * *", timezone: UTC}]')) == 1
    assert len(gaps('cron: "0 30 2 * * *", cron_fields: 6')) == 1


@pytest.mark.parametrize(
    "body",
    [
        'cron: "30 3 * * *"',
        'cron: "*/15 * * * *"',
        'cron: "30 2 * * 1-5"',
        'cron: "30 2 1 * *"',
        'cron: "30 2 * * *", dst: once',
        'cron: "30 2 * * *", timezone: UTC',
        'cron: "@every 7h"',
        "every: 1h",
    ],
)
def test_a_time_that_no_clock_change_of_the_year_skips_is_not_told(body):
    assert gaps(body) == []


def test_headers_that_no_broker_could_carry_are_a_mistake_of_the_file():
    every = "    every: 5m\n    options:\n      headers: "
    large = TASK.format("ping") + every + "{x: " + "a" * 40_000 + "}\n"
    named = TASK.format("ping") + every + "{x: {" + "n" * 256 + ": 1}}\n"

    assert rendered(large)[0] == (
        "E112 ping: the headers have 40,008 bytes as JSON, more than 32,768: pass large values as arguments, or a reference to them"
    )
    assert rendered(named)[0].startswith("E112 ping: headers cannot be written: 'x': the name 'nnn")
