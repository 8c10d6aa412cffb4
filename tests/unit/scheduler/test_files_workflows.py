"""Workflows of schedules files: named ones inside others, callbacks wherever they stand, and what is refused when a file is loaded.

Pure: text in, entries or problems out. What a signature becomes is asked of the app that would send it.
"""

from __future__ import annotations

import pytest
from backbeat.canvas.app import App
from backbeat.canvas.node import Call, Chain, Group, check_depth
from backbeat.scheduler.files import Loaded, parse
from backbeat.scheduler.files.fit import fit

APP = App("flows", broker="memory://")

NESTED = """\
workflows:
  fetch-all:
    group:
      - {task: fetch, args: [eu]}
      - {task: fetch, args: [us], options: {queue: far}}
  publish:
    chord:
      header: [{workflow: fetch-all}, {task: fetch, args: [asia]}]
      body: {workflow: store}
    on_error: {workflow: alarm}
  store:
    chain: [{task: merge}, {task: save}]
    options: {queue: disk}
  alarm: {task: page, args: [oncall]}
schedules:
  nightly:
    every: 1d
    chain: [{task: prepare}, {workflow: publish}, {task: report}]
    on_success: [{task: praise}, {workflow: store}]
    on_error: {task: note}
"""


def loaded(text: str) -> Loaded:
    found = parse(text, "s.yaml", {})
    assert [problem.render() for problem in found.problems] == []
    return found


def node_of(text: str, name: str = "it"):
    """The canvas that a schedule would send."""
    (entry,) = (entry for entry in loaded(text).entries if entry.name == name)
    return APP.resolved_from_data(entry.what)


def it(keys: str, workflows: str = "") -> str:
    return f"workflows: {{{workflows}}}\nschedules:\n  it: {{every: 1m, {keys}}}\n"


def shape(node):
    """A canvas as tasks with their callbacks, for comparing at a glance."""
    match node:
        case Call():
            links = [("then", shape(each)) for each in node.link]
            errbacks = [("else", shape(each)) for each in node.link_error]
            return (node.task, *links, *errbacks) if links or errbacks else node.task
        case Chain():
            return [shape(step) for step in node.steps]
        case Group():
            return {"group": [shape(member) for member in node.members]}


def tasks_of(node):
    match node:
        case Call():
            return [node]
        case Chain():
            return [task for step in node.steps for task in tasks_of(step)]
        case Group():
            return [task for member in node.members for task in tasks_of(member)]


def told(text: str) -> list[str]:
    return [
        f"{each.line}:{each.column} {each.code} {each.schedule}|{each.message}|{each.help}"
        for each in parse(text, "s.yaml", {}).problems
    ]


def test_workflows_use_each_other_by_name_wherever_a_step_may_stand():
    node = node_of(NESTED, "nightly")

    note, alarm = ("else", "note"), ("else", "page")
    assert shape(node) == [
        ("prepare", note),
        {"group": ["fetch", "fetch", "fetch"]},
        ("merge", alarm, note),
        ("save", alarm, note),
        ("report", ("then", "praise"), ("then", ["merge", "save"]), note),
    ]
    queues = {task.task: task.options["queue"] for task in tasks_of(node)}
    assert queues == {
        "prepare": "celery",
        "fetch": "celery",
        "merge": "disk",
        "save": "celery",
        "report": "celery",
    }
    assert [task.options["queue"] for task in tasks_of(node.steps[1])] == ["celery", "far", "celery"]


def test_a_signature_says_which_workflow_it_was_written_as():
    (entry,) = loaded(NESTED).entries
    (publish,) = (step for step in entry.what["kwargs"]["tasks"] if step["subtask_type"] == "chord")

    assert "workflow" not in entry.what
    assert publish["workflow"] == "publish"
    assert [member.get("workflow") for member in publish["kwargs"]["header"]] == ["fetch-all", None]
    assert publish["kwargs"]["body"]["workflow"] == "store"


def test_uses_of_one_workflow_do_not_change_each_other():
    text = it(
        "chain: [{workflow: w, options: {queue: other}, on_error: {task: e}}, {workflow: w}]",
        "w: {chain: [{task: a, options: {queue: own}}, {task: b}]}",
    )

    node = node_of(text)

    assert shape(node) == [("a", ("else", "e")), ("b", ("else", "e")), "a", "b"]
    assert [task.options["queue"] for task in tasks_of(node)] == ["other", "celery", "own", "celery"]


@pytest.mark.parametrize(
    ("step", "immutable"),
    [
        ("{task: a, immutable: true}", {"a"}),
        ("{chain: [{task: a}, {task: b}], immutable: true}", {"a"}),
        ("{group: [{task: a}, {task: b}], immutable: true}", {"a", "b"}),
        (
            "{chord: {header: [{task: a}, {chain: [{task: b}]}], body: {task: c}}, immutable: true}",
            {"a", "b"},
        ),
        ("{workflow: w, immutable: true}", {"a"}),
        ("{chain: [{task: a, immutable: true}, {task: b}], immutable: false}", {"a"}),
    ],
)
def test_an_immutable_step_gets_no_result_whatever_it_starts_with(step, immutable):
    node = node_of(
        it(f"chain: [{{task: first}}, {step}, {{workflow: w}}]", "w: {chain: [{task: a}, {task: b}]}")
    )

    first, *rest = tasks_of(node)
    *rest, a, b = rest
    assert {task.task for task in rest if task.immutable} == immutable
    assert not any(task.immutable for task in (first, a, b))


@pytest.mark.parametrize("key", ["on_success", "on_error"])
@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (
            "{chain: [{task: x}, {task: y}], on_error: {task: e}, on_success: {task: s}}",
            [("x", ("else", "e")), ("y", ("then", "s"), ("else", "e"))],
        ),
        (
            "{chain: [{task: x}, {group: [{task: y}]}, {task: z}], on_error: {task: e}}",
            [("x", ("else", "e")), {"group": ["y"]}, ("z", ("else", "e"))],
        ),
        (
            "{chord: {header: [{task: x}], body: {chain: [{task: y}, {task: z}]}}, on_error: {task: e}, on_success: {task: s}}",
            [{"group": ["x"]}, ("y", ("else", "e")), ("z", ("then", "s"), ("else", "e"))],
        ),
        (
            "{chain: [{chain: [{task: x}], on_error: {task: e}}, {task: y}]}",
            [("x", ("else", "e")), "y"],
        ),
    ],
)
def test_callbacks_of_a_callback_are_kept(key, callback, expected):
    node = node_of(it(f"task: t, {key}: {callback}"))

    ((_, found),) = shape(node)[1:]
    assert found == expected


def test_options_of_a_callback_that_is_a_canvas_go_to_what_starts_first():
    node = node_of(
        it(
            "task: t, on_success: {chain: [{group: [{task: x}, {task: y}]}, {task: z}], options: {queue: q, priority: 3}}"
        )
    )

    (callback,) = node.link
    assert [task.options["queue"] for task in tasks_of(callback)] == ["q", "q", "celery"]
    assert [task.options.get("priority") for task in tasks_of(callback)] == [3, 3, None]


def test_options_of_defaults_do_not_win_over_what_a_step_says():
    top = "defaults: {options: {queue: usual, priority: 3, expires: 1h}}\n"
    steps = (
        "chain: [{group: [{task: a, options: {queue: own}}, {task: b}, {chain: [{task: c}], options: {queue: inner}}]}, "
        "{task: d, options: {queue: last}}, {task: e}]"
    )

    node, told = (
        node_of(top + it(steps)),
        node_of(top + it(f"{steps}, options: {{queue: told, priority: null}}")),
    )

    assert [task.options["queue"] for task in tasks_of(node)] == ["own", "usual", "inner", "last", "celery"]
    assert [task.options.get("priority") for task in tasks_of(node)] == [3, 3, 3, None, None]
    assert [task.options["queue"] for task in tasks_of(told)] == ["told", "told", "told", "last", "celery"]
    assert [task.options.get("priority") for task in tasks_of(told)] == [None] * 5
    unset = node_of(top + it(f"{steps}, options: {{queue: null}}"))
    assert [task.options["queue"] for task in tasks_of(unset)][:3] == ["own", "celery", "inner"]
    (entry,) = loaded(top + it(steps)).entries
    assert entry.what["options"] == {"priority": 3, "expires": 3600}
    assert entry.terms.expires_us == 3_600_000_000


def test_an_error_callback_of_a_group_is_called_for_each_member_with_nothing_of_it():
    node = node_of(it("group: [{task: a}, {chain: [{task: b}, {task: c}]}], on_error: {chain: [{task: e}]}"))

    errbacks = [task.link_error for task in tasks_of(node)]
    assert [[shape(each) for each in found] for found in errbacks] == [["e"], ["e"], ["e"]]
    assert all(call.immutable for found in errbacks for each in found for call in tasks_of(each))


ENDS_MANY = [
    ("group: [{task: a}]", "a group"),
    ("chain: [{task: a}, {group: [{task: b}]}]", "a chain that ends with a group"),
    ("chain: [{task: a}, {workflow: many}]", "a chain that ends with a group"),
    ("chord: {header: [{task: a}], body: {workflow: many}}", "a chord whose body is a group"),
    ("workflow: many", "a group"),
]


@pytest.mark.parametrize(("work", "end"), ENDS_MANY)
def test_what_ends_with_many_results_has_no_on_success(work, end):
    text = it(f"{work}, on_success: {{task: z}}", "many: {group: [{task: b}, {task: c}]}")

    (problem,) = parse(text, "s.yaml", {}).problems

    assert (problem.code, problem.line) == ("E112", 3)
    assert problem.message == f"on_success of {end} has no single result to follow"
    assert problem.source_line[problem.column - 1 :].startswith("{task: z}")


@pytest.mark.parametrize(("work", "end"), ENDS_MANY)
def test_but_it_may_have_an_on_error(work, end):
    uses = "many" if "workflow" in work else "none"
    text = it(f"{work}, on_error: {{task: z}}", f"{uses}: {{group: [{{task: b}}, {{task: c}}]}}")

    tasks = tasks_of(APP.resolved_from_data(parse(text, "s", {}).entries[0].what))

    last = tasks[-1]
    assert [errback.task for errback in last.link_error] == ["z"], end


# --- what is refused -------------------------------------------------------------------------------------------------------------------

MANY = ", ".join(["{task: t}"] * 10)
TEN = "w0: {group: [" + MANY + "]}"
TENFOLD = ", ".join(
    [TEN, *(f"w{n}: {{group: [{', '.join([f'{{workflow: w{n - 1}}}'] * 10)}]}}" for n in range(1, 4))]
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            (
                "workflows:\n  a: {chain: [{task: t}, {workflow: b}]}\n  b: {group: [{workflow: c}]}\n"
                "  c: {task: t, on_error: {workflow: a}}\nschedules:\n  it: {workflow: a, every: 1m}\n"
            ),
            (
                '4:37 E196 |workflow "c": on_error: workflows use each other in a circle: a -> b -> c -> a|'
                "it would never end: take one of these uses out"
            ),
        ),
        (
            "workflows:\n  a: {task: t, on_error: [{task: b}, {workflow: a}]}\n",
            '2:49 E196 |workflow "a": on_error 2: it uses itself|it would never end: take one of these uses out',
        ),
        (
            it("chain: [{task: t}, {workflow: nigthly}]", "nightly: {task: t}"),
            '3:49 E193 it|step 2: workflow "nigthly" is not defined|did you mean "nightly"?',
        ),
        (
            "workflows: {a: {chain: [{workflow: b}]}, c: {workflow: a}}\nschedules: {it: {workflow: c, every: 1m}}\n",
            '1:36 E193 |workflow "a": step 1: workflow "b" is not defined|known are a, c',
        ),
        (
            it("chain: [{workflow: w, args: [1]}]", "w: {task: t}"),
            '3:41 E121 it|step 1: "args" belongs to a task, not to a workflow|write it in the workflow\'s steps',
        ),
        (
            it("chain: [{workflow: w, task: t}]", "w: {task: t}"),
            "3:41 E133 it|step 1: has both workflow (line 3) and task (line 3)|keep one",
        ),
        (
            it("chain: [{workflows: w}]", "w: {task: t}"),
            '3:28 E120 it|step 1: unknown key "workflows"|did you mean "workflow"?',
        ),
        (
            it("task: t, on_error: []"),
            "3:38 E112 it|on_error has no steps|add a step, or remove the key",
        ),
        (
            it("task: t, on_error: [{task: a}, {tsk: b}]"),
            '3:51 E120 it|on_error 2: unknown key "tsk"|did you mean "task"?',
        ),
        (
            it("task: t, on_error: [{task: a}, b]"),
            "3:50 E111 it|on_error 2 must be a mapping, found text|write `{task: shop.fetch}`",
        ),
        (
            it("chain: [{chord: {header: [{group: []}], body: {task: b}}}]"),
            "3:53 E112 it|step 1: header, step 1: group has no steps|add a step, or remove the schedule",
        ),
        (
            it("group: [{task: a}, {chord: {header: [{task: h}]}}]"),
            "3:46 E132 it|step 2: chord has no body|add body:",
        ),
        (
            "defaults: {options: {time_limit: 5m}}\n"
            + it("chord: {header: [{task: a}, {task: a, options: {soft_time_limit: 10m}}], body: {task: b}}"),
            (
                "4:19 E112 it|soft_time_limit must be below time_limit, found 600 s and 300 s|"
                "the run would be ended before it was told"
            ),
        ),
        (
            it(
                "task: t, on_error: {workflow: w, options: {time_limit: 5}}",
                "w: {chain: [{task: t, options: {soft_time_limit: 6}}]}",
            ),
            (
                "3:61 E112 it|on_error: soft_time_limit must be below time_limit, found 6 s and 5 s|"
                "the run would be ended before it was told"
            ),
        ),
        (
            it("chain: [{workflow: w3}, {task: t}]", TENFOLD),
            "3:19 E197 it|has more than 10,000 tasks|let a task send what is inside, or take several schedules",
        ),
    ],
)
def test_a_mistake_is_told_once_at_its_place(text, problem):
    assert told(text) == [problem]


def test_ten_thousand_tasks_are_not_too_many():
    assert len(tasks_of(node_of(it("workflow: w3", TENFOLD)))) == 10_000


def test_names_multiply_no_further_than_what_is_refused():
    names = [
        TEN,
        *(f"w{n}: {{group: [{', '.join([f'{{workflow: w{n - 1}}}'] * 10)}]}}" for n in range(1, 60)),
    ]

    (problem,) = told(f"workflows: {{{', '.join(names)}}}\n")

    assert 'E197 |workflow "w4": has more than 10,000 tasks' in problem


def test_callbacks_count_too():
    errbacks = (
        "on_error: {group: [" + MANY + "], on_error: {group: [" + MANY + "], on_error: {group: [" + MANY
    )
    text = it(f"group: [{MANY}], {errbacks}], on_error: {{group: [{MANY}]}}}}}}}}")

    (problem,) = told(text)

    assert "E197 it|has more than 10,000 tasks" in problem


def test_a_chain_of_thousands_of_names_is_read_without_exhausting_the_stack():
    names = [f"  w{n}: {{chain: [{{workflow: w{n + 1}}}, {{task: t}}]}}\n" for n in range(3_000)]

    (problem,) = told(f"workflows:\n{''.join(names)}  w3000: {{task: t}}\n")

    assert 'E197 |workflow "w2950": is nested more than 50 levels deep' in problem


def test_the_deepest_workflow_that_is_taken_can_be_sent():
    names = [
        f"  w{n}: {{chord: {{header: [{{workflow: w{n + 1}}}], body: {{task: b}}}}}}\n" for n in range(1, 50)
    ]
    text = "workflows:\n%s  w50: {task: t}\nschedules:\n  it: {workflow: %s, every: 1m}\n"
    rest = {"w0": "  w0: {chain: [{workflow: w1}]}\n", "w1": ""}

    taken, refused = (text % (rest[first] + "".join(names), first) for first in ("w1", "w0"))

    assert check_depth(node_of(taken)) is None
    assert ["is nested more than 50 levels deep" in each for each in told(refused)] == [True]


def test_a_circle_of_thousands_is_told_in_one_line():
    names = [f"  w{n}: {{chain: [{{workflow: w{(n + 1) % 3_000}}}]}}\n" for n in range(3_000)]

    (problem,) = told(f"workflows:\n{''.join(names)}")

    assert problem.endswith(
        "in a circle: w0 -> w1 -> w2 -> w3 -> w4 -> w5 -> w6 -> w7 -> w8 -> … -> w0|"
        "it would never end: take one of these uses out"
    )


def test_two_circles_are_two_problems_and_what_uses_them_is_none():
    text = (
        "workflows:\n  a: {workflow: b}\n  b: {workflow: a}\n  c: {workflow: c}\n"
        "  user: {chain: [{workflow: a}, {workflow: c}]}\nschedules:\n  it: {workflow: user, every: 1m}\n"
    )

    assert [each.split("|")[0] for each in told(text)] == ["3:17 E196 ", "4:17 E196 "]


# --- what nothing uses --------------------------------------------------------------------------------------------------------------------


def test_a_workflow_that_nothing_starts_is_a_warning():
    text = (
        "workflows:\n  used: {chain: [{workflow: below}]}\n  below: {task: t, on_error: {workflow: alarm}}\n"
        "  alarm: {task: t}\n  lone: {workflow: lonely}\n  lonely: {task: t}\n  by-default: {task: t}\n"
        "defaults: {workflow: by-default}\n"
        "schedules:\n  it: {every: 1m, chain: [{workflow: used}]}\n  other: {every: 1m}\n"
    )

    found = parse(text, "s.yaml", {})

    assert [(each.code, each.line) for each in found.problems] == [("W198", 5), ("W198", 6)]
    assert found.is_applicable


def test_it_is_not_told_where_a_use_may_not_have_been_read():
    assert [each.split()[1] for each in told(it("workflow: w, evry: 1h", "w: {task: t}"))] == ["E120"]


# --- against an app ------------------------------------------------------------------------------------------------------------------------


def app_with_tasks() -> App:
    app = App("shop")
    app.task(name="nothing")(lambda: None)
    app.task(name="one")(lambda value: value)
    return app


def misfits(text: str) -> list[str]:
    found = fit(loaded(text), app_with_tasks().tasks, has_results=True, ignores_results=False)
    return [f"{each.line} {each.code} {each.message} / {each.help}" for each in found]


def test_what_a_workflow_starts_with_is_checked_as_it_is_used():
    fits = it("chain: [{task: nothing}, {workflow: w}]", "w: {chain: [{task: one}]}")
    alone = it("workflow: w", "w: {chain: [{task: one}]}")
    both = it("group: [{chain: [{task: nothing}, {workflow: w}]}, {workflow: w}]", "w: {task: nothing}")
    errback = it("task: nothing, on_error: {workflow: w}", "w: {workflow: v}, v: {task: nothing}")

    assert misfits(fits) == []
    assert [each.split(" / ")[0] for each in misfits(alone)] == [
        "1 W171 workflow \"w\": step 1: the arguments do not fit one: missing a required argument: 'value'"
    ]
    (problem,) = misfits(both)
    assert problem.startswith('1 W171 workflow "w": the arguments do not fit nothing: too many positional')
    assert [each.split(":")[0] for each in misfits(errback)] == ['1 W171 workflow "v"']


def test_the_error_callback_of_a_group_gets_nothing():
    assert misfits(it("group: [{task: nothing}], on_error: {task: nothing}")) == []
    assert len(misfits(it("group: [{task: nothing}], on_error: {task: one}"))) == 1
    assert misfits(it("workflow: w, on_error: {task: nothing}", "w: {group: [{task: nothing}]}")) == []


def test_a_workflow_in_the_place_of_a_task_is_said():
    text = it("group: [{workflow: w}, {task: w}]", "w: {task: nothing}")

    assert misfits(text) == ['3 E170 step 2: the app has no task "w" / write `workflow: w`']
