"""Each mistake of the table of mistakes in schedules, at its line and column; all of them at once; and hostile text."""

from __future__ import annotations

import contextlib
import json

import pytest
import yaml
from backbeat.scheduler.files import Loaded, Severity, parse
from backbeat.scheduler.files.document import PARSER, compose
from backbeat.scheduler.files.problem import Fault, Problem
from backbeat.scheduler.files.source import LINE_BREAK
from hypothesis import given, settings
from hypothesis import strategies as st

S = "schedules:\n  ping:\n"
RUNS = S + "    task: t\n"
TIMED = RUNS + "    every: 5m\n"


def told(loaded: Loaded) -> list[str]:
    return [f"{each.line}:{each.column}:{each.code}:{each.schedule}" for each in loaded.problems]


@pytest.mark.parametrize(
    ("text", "expected", "message", "help_text"),
    [
        # The file as YAML.
        (
            S + "    cron: */5 * * * *\n",
            "3:11:E101:",
            "`*` starts an alias",
            'quotes around it: `cron: "*/5 * * * *"`',
        ),
        (S + "    cron: * * * * *\n", "3:11:E101:", "`*` starts an alias", '`cron: "* * * * *"`'),
        (S + "    cron: * 2 * * *\n", "3:11:E101:", "`*` starts an alias", '`cron: "* 2 * * *"`'),
        (
            "schedules: {a: {task: t, cron: */5 * * * *}}\n",
            "1:32:E101:",
            "`*` starts an alias",
            '`"*/5 * * * *"`',
        ),
        (
            RUNS + "    cron: [0 0 * * *, */5 * * * *]\n",
            "4:23:E101:",
            "`*` starts an alias",
            '`"*/5 * * * *"`',
        ),
        (S + "    cron: @daily\n", "3:11:E101:", "`@` is reserved", '`cron: "@daily"`'),
        (S + "    task: %x # no\n", "3:11:E101:", "`%` is reserved", '`task: "%x"`'),
        (S + "    task: *t\n", "3:11:E101:", "`*` starts an alias", '`task: "*t"`'),
        (S + "    task: a: b\n", "3:12:E101:", "a second `: `", "quotes"),
        (S + "    task: 'x\n", "3:11:E101:", "the quote that starts here is not closed", "close it"),
        (S + "    args: [1, 2\n    every: 5m\n", "4:10:E101:", "expected ',' or ']'", "bracket"),
        (S + "\ttask: t\n", "3:1:E102:", "a tab is used for indentation", "use two spaces"),
        (RUNS + "\tevery: 5m\n", "4:1:E102:", "a tab is used for indentation", "use two spaces"),
        (
            "schedules: {a: {task: t, schedule: 30}}",
            "1:26:E120:a",
            'unknown key "schedule"',
            "write `every: 30`",
        ),
        ("", "1:1:E105:", "the file is empty", "`schedules: {}` for none"),
        (" \n\n", "1:1:E105:", "the file is empty", ""),
        ("\ufeff", "1:1:E105:", "the file is empty", ""),
        ("a: &a [*a]\n", "1:8:E103:", "*a stands inside itself", "write the value out"),
        ("a: 1\n---\nb: 1\n", "2:1:E104:", "a second document", "one document a file"),
        ("? [a]\n: b\n", "1:3:E104:", "a key must be text", ""),
        (TIMED + "    args: [!!str 5]\n", "5:12:E104:ping", 'the tag "tag:yaml.org,2002:str"', "quotes"),
        (TIMED + "    args: [!run x]\n", "5:12:E104:ping", 'the tag "!run" is not allowed', ""),
        (TIMED + "    <<: {a: b}\n", "5:5:E104:ping", "merges mappings in YAML 1.1 only", "defaults:"),
        (
            TIMED + "    args: [0123]\n",
            "5:12:E104:ping",
            "0123 could be octal or decimal",
            'write 123, or put quotes around it: "0123"',
        ),
        (TIMED + "    args: [.inf]\n", "5:12:E104:ping", ".inf is not a number that JSON can hold", '".inf"'),
        (TIMED + "    args: [-.INF]\n", "5:12:E104:ping", "JSON", ""),
        (TIMED + "    args: [.nan]\n", "5:12:E104:ping", "JSON", ""),
        (TIMED + "    args: [1e999]\n", "5:12:E104:ping", "too large", ""),
        (TIMED + f"    args: [{'9' * 5000}]\n", "5:12:E104:ping", "beyond 64 bits", "quotes"),
        (TIMED + '    args: ["\\0"]\n', "5:12:E104:ping", "NUL", ""),
        ("schedules:\n  a: {task: \x00}\n", "2:13:E100:", "U+0000", "remove it"),
        # Names and shapes.
        (
            TIMED + "  ping:\n    task: t\n",
            "5:3:E110:ping",
            'duplicate schedule "ping" (first on line 2)',
            "",
        ),
        (TIMED + "    task: u\n", "5:5:E110:ping", 'duplicate key "task" (first on line 3)', ""),
        ("schedules: {}\nschedules: {}\n", "2:1:E110:", 'duplicate key "schedules"', ""),
        ("workflows:\n  w: {task: a}\n  w: {task: b}\n", "3:3:E110:", 'duplicate workflow "w"', ""),
        ("calendars:\n  w: [2026-01-01]\n  w: [2026-01-02]\n", "3:3:E110:", 'duplicate calendar "w"', ""),
        (
            "schedules:\n  - task: t\n",
            "2:3:E111:",
            "schedules must be a mapping of names, found a list",
            "write `ping:` on its own line instead of `- task: …`",
        ),
        ("- a\n", "1:1:E111:", "a schedules file must be a mapping, found a list", "schedules:"),
        ("schedules:\n  ping: t\n", "2:9:E111:ping", "a schedule must be a mapping, found text", ""),
        ("schedules:\n  ping:\n", "2:8:E111:ping", "a schedule must be a mapping, found nothing", ""),
        (S + "    task: 5\n    every: 5m\n", "3:11:E111:ping", "task must be text, found a number", '`"5"`'),
        (TIMED + "    args: 5\n", "5:11:E111:ping", "args must be a list, found a number", ""),
        (TIMED + "    kwargs: [1]\n", "5:13:E111:ping", "kwargs must be a mapping", ""),
        (
            TIMED + "    enabled: yes\n",
            "5:14:E112:ping",
            'enabled must be true or false, found "yes"',
            "write true",
        ),
        (
            TIMED + "    catch_up: lates\n",
            "5:15:E112:ping",
            "catch_up must be one of none, latest, all",
            "did you mean latest?",
        ),
        (TIMED + "    catch_up_limit: 0\n", "5:21:E112:ping", "catch_up_limit must be from 1 to", ""),
        (TIMED + "    options: {priority: high}\n", "5:25:E112:ping", "priority must be a whole number", ""),
        (TIMED + "    options: {expires: -1}\n", "5:24:E160:ping", "expires must be from 0", ""),
        (TIMED + "    options: {time_limit: 0s}\n", "5:27:E112:ping", "time_limit must be above 0", "null"),
        (
            TIMED + "    options: {time_limit: 5m, soft_time_limit: 300}\n",
            "5:14:E112:ping",
            "soft_time_limit must be below time_limit, found 300 s and 300 s",
            "before it was told",
        ),
        (
            "defaults:\n  options: {soft_time_limit: 1m}\n" + TIMED + "    options: {time_limit: 1m}\n",
            "7:14:E112:ping",
            "soft_time_limit must be below time_limit, found 60 s and 60 s",
            "before it was told",
        ),
        (TIMED + "    options: {retry: on}\n", "5:22:E112:ping", "retry must be true or false", "write true"),
        (
            "schedules:\n  ? " + "x" * 121 + "\n  : {task: t, every: 1m}\n",
            "2:5:E113:" + "x" * 121,
            "a name of 121 characters",
            "",
        ),
        ('schedules:\n  "a\\nb": {task: t, every: 1m}\n', "2:3:E113:a\nb", "a name must be printable", ""),
        ("version: 2\n", "1:10:E114:", "version must be 1", ""),
        # Keys.
        (RUNS + "    interval: 5m\n", "4:5:E120:ping", 'unknown key "interval"', "write `every: 5m`"),
        (
            RUNS + '    crontab: "0 0 * * *"\n',
            "4:5:E120:ping",
            'unknown key "crontab"',
            'write `cron: "0 0 * * *"`',
        ),
        (
            TIMED + "    tz: Europe/Berlin\n",
            "5:5:E120:ping",
            'unknown key "tz"',
            "write `timezone: Europe/Berlin`",
        ),
        (S + "    class: t\n", "3:5:E120:ping", 'unknown key "class"', "write `task: t`"),
        (TIMED + "    enabeld: false\n", "5:5:E120:ping", 'unknown key "enabeld"', 'did you mean "enabled"?'),
        (
            S + "    every: 5m\n    chain:\n      - task: a\n      - tsk: b\n",
            "6:9:E120:ping",
            'step 2: unknown key "tsk"',
            'did you mean "task"?',
        ),
        (
            TIMED + "    options: {quue: a}\n",
            "5:15:E120:ping",
            'unknown option "quue"',
            'did you mean "queue"?',
        ),
        ("shedules: {}\n", "1:1:E120:", 'unknown top-level key "shedules"', 'did you mean "schedules"?'),
        (
            TIMED + "    queue: fast\n",
            "5:5:E121:ping",
            '"queue" belongs under options',
            "`options: {queue: fast}`",
        ),
        (
            S + "    every: 5m\n    group: [{task: a, priority: 3}]\n",
            "4:23:E121:ping",
            'step 1: "priority" belongs under options',
            "",
        ),
        (
            S + "    every: 5m\n    chain: [{task: a}]\n    args: [1]\n",
            "5:5:E121:ping",
            '"args" belongs to a task',
            "",
        ),
        (
            S + "    django_task: shop.ping\n    every: 5m\n",
            "3:5:E122:ping",
            '"django_task" is not supported yet by this version',
            "remove it",
        ),
        ("defaults: {max_runs: 0}\n", "1:22:E112:", "defaults: max_runs must be from 1", ""),
        # What and when.
        (RUNS, "2:3:E130:ping", "says what to run but not when", "add every:, cron: or at:"),
        (
            TIMED + '    cron: "0 0 * * *"\n',
            "5:5:E131:ping",
            "has both every (line 4) and cron (line 5)",
            "keep one",
        ),
        (S + "    every: 5m\n", "2:3:E132:ping", "does not say what to run", "add task:"),
        (
            TIMED + "    chain: [{task: a}]\n",
            "5:5:E133:ping",
            "has both task (line 3) and chain (line 5)",
            "keep one",
        ),
        (
            S + "    every: 5m\n    chord: {header: [{task: a}]}\n",
            "4:12:E132:ping",
            "chord has no body",
            "add body:",
        ),
        (S + "    every: 5m\n    chain: []\n", "4:12:E112:ping", "chain has no steps", ""),
        (
            S + "    every: 5m\n    chain: [{args: [1]}]\n",
            "4:13:E132:ping",
            "step 1: a step says nothing to run",
            "",
        ),
        (
            S + "    every: 5m\n    chain: [a.b]\n",
            "4:13:E111:ping",
            "step 1 must be a mapping, found text",
            "{task: shop.fetch}",
        ),
        (
            S + "    every: 5m\n    group: [{task: a}]\n    on_success: {task: b}\n",
            "5:17:E112:ping",
            "on_success of a group",
            "chord",
        ),
        # Times.
        (RUNS + '    cron: "61 2 * * *"\n', "4:11:E140:ping", "minute 61 is out of range 0-59", ""),
        (RUNS + '    cron: ["0 0 * * *", "0 25 * * *"]\n', "4:25:E140:ping", "hour 25 is out of range", ""),
        (
            RUNS + f'    cron: "{"1," * 1000}1 * * * *"\n',
            "4:11:E140:ping",
            "an expression of 2,009 characters",
            "",
        ),
        (
            RUNS + '    cron: "0 0 12 * * ?"\n',
            "4:11:E141:ping",
            '"0 0 12 * * ?" has 6 fields, expected 5',
            '"0 12 * * *"',
        ),
        (RUNS + '    cron: "0 12 * *"\n', "4:11:E141:ping", "has 4 fields", ""),
        (RUNS + "    cron: 5\n", "4:11:E141:ping", "5 is a number", ""),
        (RUNS + '    cron: ""\n', "4:11:E112:ping", "cron is empty", ""),
        (
            RUNS + '    cron: "30 2 13 * 5"\n',
            "4:11:W142:ping",
            "runs on the 13th and also every Friday",
            "for Friday the 13th add `day_match: all`",
        ),
        (
            TIMED + "    timezone: Europe/Berln\n",
            "5:15:E150:ping",
            'unknown time zone "Europe/Berln"',
            "Europe/Berlin",
        ),
        ("timezone: CET+1\n", "1:11:E150:", 'unknown time zone "CET+1"', ""),
        (
            RUNS + "    every: 5 minuts\n",
            "4:12:E160:ping",
            '"5 minuts" is not a duration',
            "30s, 5m, 1h30m, 2h, 1d",
        ),
        (RUNS + "    every: yes\n", "4:12:E160:ping", '"yes" is not a duration', "1h30m"),
        (RUNS + "    every: true\n", "4:12:E160:ping", '"true" is not a duration', ""),
        (RUNS + "    every: 1:30:00\n", "4:12:E160:ping", '"1:30:00" is not a duration', ""),
        (RUNS + "    every: 0\n", "4:12:E160:ping", "every must be longer than 0", ""),
        (RUNS + "    every: -5\n", "4:12:E160:ping", "every must be from 0", ""),
        (RUNS + "    every: 99999w\n", "4:12:E160:ping", "100 years", ""),
        (RUNS + "    every: 9999999999999w\n", "4:12:E160:ping", "not a duration", ""),
        (RUNS + "    at: 12:30\n", "4:9:E161:ping", '"12:30" is not a local time', "2026-12-01T03:00"),
        (RUNS + "    at: 2026-02-30T12:00\n", "4:9:E161:ping", "not a time of the calendar", ""),
        (RUNS + "    at: 9999-12-31T23:59:59-12:00\n", "4:9:E161:ping", "not a time of the calendar", ""),
        (RUNS + "    at: []\n", "4:9:E112:ping", "at is an empty list", ""),
        (RUNS + '    cron: "0 0 31 2 *"\n', "4:11:E182:ping", "never fires", ""),
        (
            TIMED + "    start: 2026-02-01\n    end: 2026-01-01\n",
            "6:10:E182:ping",
            "end lies before start",
            "",
        ),
        # Things referred to.
        (TIMED + '    args: ["${NOPE}"]\n', "5:12:E190:ping", "variable NOPE is not set", "${NOPE:-default}"),
        (TIMED + '    args: ["${1}"]\n', "5:12:E190:ping", "does not start a variable", "$${"),
        ("include: a.yaml\n", "1:10:E191:", "include is served only where files are read", ""),
        (
            S + "    every: 5m\n    workflow: w\n",
            "4:15:E193:ping",
            'workflow "w" is not defined',
            "workflows:",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(text, expected, message, help_text):
    loaded = parse(text, "s.yaml", {})

    assert told(loaded) == [expected]
    assert message in loaded.problems[0].message
    assert help_text in loaded.problems[0].help
    assert loaded.is_applicable == expected.split(":")[2].startswith("W")


def test_a_problem_is_rendered_with_its_line_a_caret_and_help():
    loaded = parse(RUNS + "    every: 5 minuts\n", "conf/s.yaml", {})

    assert loaded.problems[0].render() == (
        'conf/s.yaml:4:12: error E160: ping: "5 minuts" is not a duration\n'
        "      every: 5 minuts\n"
        "             ^\n"
        "help: 30s, 5m, 1h30m, 2h, 1d"
    )


def test_a_problem_is_json_for_editors():
    problem = parse("version: 2\n", "s.yaml", {}).problems[0]

    assert json.loads(json.dumps(problem.to_json())) == {
        "file": "s.yaml",
        "line": 1,
        "column": 10,
        "severity": "error",
        "code": "E114",
        "schedule": "",
        "message": "version must be 1",
        "help": "write `version: 1`, or leave it out",
        "source_line": "version: 2",
    }


def test_a_rendered_line_holds_no_control_characters_and_is_cut_around_the_caret():
    text = 'schedules:\n  "\\e[31m": {task: t, every: "' + "x" * 5000 + '\\e"}\n'

    rendered = parse(text, "s\x1b.yaml", {}).problems[0].render()

    assert all(line.isprintable() and len(line) < 400 for line in rendered.split("\n"))


def test_all_schedules_tell_their_first_error_at_once_in_order():
    text = """\
timezone: Mars/Base
defaults:
  grace: long
  options: {queue: 5}
workflows:
  broken: {chain: [{tsk: a}]}
schedules:
  one: {task: t, every: 1x, enabled: maybe, nonsense: 1}
  two: {task: t}
  three: {task: t, every: 1m}
  four: {workflow: broken, every: 1m}
  five: {task: t, every: 1m, args: ["${NOPE}", 0123], catch_up: sometimes}
  six: {task: t, cron: "0 0 1 * mon", tags: [a, 5]}
  two: {}
"""

    loaded = parse(text, "s.yaml", {})

    assert told(loaded) == [
        "1:11:E150:",
        "3:10:E160:",
        "4:20:E111:",
        "6:21:E120:",
        "8:45:E120:one",
        "12:37:E190:five",
        "13:24:W142:six",
        "13:49:E111:six",
        "14:3:E110:two",
    ]
    assert [entry.name for entry in loaded.entries] == ["three"]
    assert not loaded.is_applicable


def test_a_wrong_default_when_is_told_once_and_not_as_missing():
    loaded = parse("defaults: {every: never}\nschedules:\n  a: {task: t}\n  b: {task: t}\n", "s", {})

    assert told(loaded) == ["1:19:E160:"]


def test_a_warning_leaves_the_file_applicable():
    loaded = parse(RUNS + '    cron: "30 2 13 * 5"\n', "s", {})

    assert loaded.problems[0].severity is Severity.WARNING
    assert len(loaded.entries) == 1


def test_day_match_written_out_silences_the_warning():
    assert told(parse(RUNS + '    cron: "30 2 13 * 5"\n    day_match: any\n', "s", {})) == []


BOMB = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOMB, "5:45:E103:"),
        ("{a: " * 20_000, "1:81:E103:"),
        ("- " * 20_000 + "x", "1:41:E103:"),
        ("a: &a [[[[[[[[[[1]]]]]]]]]]\nb: [[[[[[[[[[*a]]]]]]]]]]\n", "2:14:E103:"),
        ("x" * (64 * 1024 * 1024 + 1), "1:1:E100:"),
    ],
    ids=["aliases", "mappings", "dashes", "depth by alias", "size"],
)
@pytest.mark.timeout(20)
def test_a_bomb_is_refused_before_it_goes_off(text, expected):
    assert told(parse(text, "s", {})) == [expected]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("parser", [PARSER, yaml.SafeLoader], ids=["libyaml", "python"])
def test_a_bomb_of_lists_is_refused_by_our_limit_or_by_that_of_libyaml(parser):
    with pytest.raises(Fault) as refused:
        compose("[" * 20_000, "s", {}, parser=parser)

    fault = refused.value
    assert (fault.code, fault.message) == ("E103", "nested more than 20 levels deep")
    assert fault.place.column in {20, 1000}  # since libyaml 0.2.6 its own limit is met first


def test_aliases_below_the_limit_are_expanded():
    text = f"x-a: &a [{', '.join('1' for _ in range(999))}]\nx-b: [{', '.join('*a' for _ in range(100))}]\n"

    assert told(parse(text, "s", {})) == []
    assert told(parse(text + "x-c: *a\n", "s", {})) == ["3:6:E103:"]


def test_lone_surrogates_and_odd_line_breaks_are_told_at_their_place():
    assert told(parse("a: 1\r\nb: \ud800\n", "s", {})) == ["2:4:E100:"]
    assert told(parse("version: 1\x85version: 1\u2028version: 1\n", "s", {})) == ["2:1:E110:", "3:1:E110:"]


@pytest.mark.parametrize(
    "text",
    [
        S + "    cron: */5 * * * *\n",
        RUNS + "\tevery: 1m\n",
        "a: &a [*a]\n",
        "[" * 100,
        "a: 'x\n",
        "? [a]\n: b\n",
    ],
)
def test_the_python_parser_tells_the_same_as_libyaml(text):
    found = []
    for parser in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        with pytest.raises(Fault) as raised:
            compose(text, "s", {}, parser=parser)
        found.append(Problem.of(raised.value))

    assert found[0] == found[1]


PIECES = st.sampled_from(
    [
        *(
            "schedules:",
            "workflows:",
            "defaults:",
            "include:",
            "timezone:",
            "\n",
            "\n  ",
            "\n    ",
            "\n      ",
            "- ",
            ": ",
        ),
        *(
            "a:",
            "b:",
            "task: t",
            "every: 1m",
            "every:",
            "cron: ",
            '"* * * * *"',
            "at: ",
            "2026-01-01",
            "chain: ",
            "chord: ",
        ),
        *(
            "{",
            "}",
            "[",
            "]",
            ",",
            "&x ",
            "*x",
            "!t ",
            "<<: ",
            "?",
            "|",
            ">",
            "'",
            '"',
            "#",
            "\t",
            "${A}",
            "$$",
            "0123",
        ),
        *(
            "header: ",
            "body: ",
            "options: ",
            "args: ",
            "kwargs: ",
            "on_error: ",
            "null",
            "true",
            ".nan",
            "\ufeff",
            "\u2028",
        ),
        *(
            "--- ",
            "%YAML 1.1\n",
            "\x85",
            "é",
            "\\0",
            '"\\uD800"',
            '"\\UFFFFFFFF"',
            "99999999999999999999",
            "start: ",
            "1h",
            "1mo",
        ),
        *(
            "any: ",
            "except: ",
            "from: ",
            "to: ",
            '"22:00"',
            "rrule: ",
            "FREQ=DAILY",
            "solar: ",
            "calendar: ",
            "calendars: ",
            "spread: ",
            "anchor: ",
            "cron_fields: 6",
        ),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))


SAMPLE = """\
timezone: Europe/Berlin
serial: 5
calendars: {days: [2026-12-25, 2027-01-01]}
defaults: {options: {queue: periodic, expires: 10m}}
workflows:
  feed: {chain: [{task: a}, {group: [{task: b, kwargs: {x: 0}}]}]}
schedules:
  one: {task: t, every: 30s, args: &args [1, "${A}"]}
  two:
    cron: ["25 9 * * mon-fri", "55 15 13 * 5"]
    chord: {header: [{task: h, args: *args}], body: {task: b}}
    on_error: {task: e}
  three: {workflow: feed, at: 2026-03-29T02:30, start: 2026-01-01, enabled: false}
  four: {task: t, every: 1y6mo, anchor: 2026-01-31, jitter: 1m, spread: true, max_runs: 3, overlap: skip}
  five:
    task: t
    any: [{every: 7m}, {cron: "H 3 L * ?", timezone: Asia/Tokyo}, {solar: {event: sunset, lat: 70, lon: 13}}]
    except: [{calendar: days}, {from: "22:00", to: "06:00"}, {from: 2026-12-24, to: 2027-01-02}, {cron: "* 3 * * *"}]
    on_except: defer
    catch_up_rate: 600/m
  six: {task: t, rrule: "FREQ=MONTHLY;BYDAY=-1FR;COUNT=9", start: 2026-01-01, late_after: 5m}
"""


@st.composite
def changed_samples(draw: st.DrawFn) -> str:
    """The sample with a few stretches cut out, doubled or replaced."""
    text = SAMPLE
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = (
            text[:start]
            + draw(st.sampled_from(["", text[start:end] * 2, " ", "\n", "[1]", "{}", "0", ":"]))
            + text[end:]
        )
    return text


@given(st.one_of(TEXTS, changed_samples()))
@settings(max_examples=600, deadline=None)
def test_parse_never_raises_and_points_inside_the_text(text):
    check_parse(text)


def check_parse(text: str) -> None:
    loaded = parse(text, "s.yaml", {"A": "x"})

    lines = LINE_BREAK.split(text.removeprefix("\ufeff"))
    for problem in loaded.problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.source_line == lines[problem.line - 1]
        assert problem.render()
    errors = [each for each in loaded.problems if each.severity is Severity.ERROR and each.schedule]
    assert len({each.schedule for each in errors}) == len(errors)
    assert list(loaded.problems) == sorted(loaded.problems)
    for entry in loaded.entries:
        json.dumps(entry.to_spec(), allow_nan=False)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_the_python_parser_never_raises_anything_but_a_fault(text):
    with contextlib.suppress(Fault):
        compose(text, "s.yaml", {}, parser=yaml.SafeLoader)
