"""What an import loads: a program pays for what it uses. Each case is a new interpreter, as modules once loaded stay."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LISTED = "; import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
HEAVY = {
    "amqp",
    "croniter",
    "kombu",
    "opentelemetry",
    "psycopg",
    "pydantic",
    "redis",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "yaml",
}
HELP = (
    "import contextlib, os\n"
    "from backbeat.scheduler.cli import main\n"
    "with contextlib.redirect_stdout(open(os.devnull, 'w')):\n"
    "    main({arguments}, standalone_mode=False)\n"
    "import json, sys\n"
    "print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
)


def loaded(program):
    """The top-level modules that are loaded when the program ends."""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout.splitlines()[-1]))


def modules(program):
    """All modules that are loaded when the program ends."""
    listed = program + "; import json, sys; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_canvas_loads_no_broker_no_database_and_no_command_line():
    assert loaded("import backbeat.canvas" + LISTED) & {*HEAVY, "click"} == set()


def test_canvas_loads_nothing_of_eager_mode_and_of_the_kit_for_tests():
    assert (
        modules("import backbeat.canvas")
        & {
            "backbeat.canvas.eager",
            "backbeat.canvas.stage",
            "backbeat.canvas.testing",
            "backbeat.canvas.commit.memory",
        }
        == set()
    )


def test_the_pytest_plugin_loads_no_more_than_itself():
    found = modules("import backbeat.scheduler.pytest_plugin")

    assert {name for name in found if name.startswith("backbeat.")} == {
        "backbeat.scheduler",
        "backbeat.scheduler.pytest_plugin",
    }


@pytest.mark.parametrize(
    "program",
    ["import backbeat.canvas.testing", "import backbeat.canvas.eager", "import backbeat.scheduler.testing"],
)
def test_the_kit_for_tests_loads_no_broker_and_no_database(program):
    assert loaded(program + LISTED) & (HEAVY - {"yaml"}) == set()


@pytest.mark.parametrize(
    "program",
    [
        "import backbeat.scheduler",
        "import backbeat.scheduler.schedule",
        "from backbeat.scheduler import CatchUp, Clocked, Crontab, Entry, Interval, next_fires",
        "from backbeat.scheduler import Crontab; Crontab(expression='*/5 * * * *')",
    ],
)
def test_the_scheduler_s_public_names_load_no_database_and_no_file_reader(program):
    assert loaded(program + LISTED) & {*HEAVY, "click"} == set()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["beat", "--help"], ["worker", "--help"], ["check", "--help"], ["init", "--help"]],
)
def test_help_loads_no_broker_and_no_database(arguments):
    assert loaded(HELP.format(arguments=arguments)) & HEAVY == set()


COMPLETION = (
    "from click.shell_completion import ShellComplete\n"
    "from backbeat.scheduler.cli import main\n"
    "import os; os.chdir({place!r})\n"
    "print([each.value for each in ShellComplete(main, {{}}, 'backbeat', '').get_completions({words}, {last!r})])"
)


def test_completing_a_command_loads_no_broker_no_database_and_no_file_reader(tmp_path):
    program = COMPLETION.format(place=str(tmp_path), words=[], last="sch")

    assert loaded(program + LISTED) & HEAVY == set()


def test_completing_a_name_of_a_file_loads_no_broker_and_no_database(tmp_path):
    (tmp_path / "schedules.yaml").write_text("schedules:\n  a:\n    task: app.a\n    every: 1h\n")
    program = COMPLETION.format(place=str(tmp_path), words=["schedules", "pause"], last="")

    assert loaded(program + LISTED) & (HEAVY - {"yaml"}) == set()


def test_a_check_of_schedules_loads_no_broker_and_no_database(tmp_path):
    path = tmp_path / "schedules.yaml"
    path.write_text("schedules:\n  a:\n    task: app.a\n    every: 1h\n")

    assert loaded(HELP.format(arguments=["check", str(path)])) & (HEAVY - {"yaml"}) == set()


def test_a_task_can_be_defined_without_loading_a_broker():
    program = "from backbeat.canvas import App\napp = App('a', broker='redis://')\n@app.task\ndef add(x): pass\nadd.s(1) | add.s()\n"

    assert loaded(program + LISTED.lstrip("; ")) & HEAVY == set()


AFAR = (
    "from kombu.clocks import LamportClock\n"
    "from backbeat.canvas import App\n"
    "from backbeat.canvas.worker.afar import Afar\n"
    "from backbeat.canvas.remote.wiring import open_mailbox\n"
    "app = App('a', broker='{broker}')\n"
    "Afar(app, 'w@here', pool='solo')\n"
    "open_mailbox(app.conf, 'w@here', LamportClock())\n"
)
"""What a worker opens to be seen and steered; nothing is connected yet."""


@pytest.mark.parametrize("broker", ["redis://", "amqp://"])
def test_a_worker_loads_no_database_library_for_another_broker(broker):
    assert "sqlalchemy" not in loaded(AFAR.format(broker=broker) + LISTED.lstrip("; "))


def test_a_worker_on_a_database_loads_none_of_kombus_messaging():
    found = modules(AFAR.format(broker="sqlite:///x.db") + "pass")

    assert "sqlalchemy" in found
    assert "kombu.messaging" not in found


def test_the_listing_sees_what_is_loaded():
    """The control."""
    assert {"kombu", "sqlalchemy"} <= loaded("import kombu, sqlalchemy" + LISTED)
