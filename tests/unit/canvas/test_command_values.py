"""Values on the command line that cannot be meant: usage errors, exit code 2, before anything is imported or opened."""

from __future__ import annotations

import click
import pytest
from backbeat.canvas.cli import call, result
from backbeat.canvas.cli_dead import dead
from backbeat.canvas.cli_worker import worker
from backbeat.scheduler.cli.dev import dev

NO_NUMBER = ["nan", "inf", "-inf", "-1", "1e300", "x", ""]
REFUSED = [
    *[
        (worker, [], option, value)
        for option in ("--time-limit", "--soft-time-limit")
        for value in [*NO_NUMBER, "0"]
    ],
    *[(worker, [], "--grace", value) for value in NO_NUMBER],
    *[
        (worker, [], option, value)
        for option in ("-c", "--max-tasks-per-child", "--max-memory-per-child")
        for value in ("0", "-1", "nan", "1.5", "")
    ],
    *[(command, [], "-c", "1000000") for command in (worker, dev)],
    *[(worker, [], option, value) for option in ("-Q", "-X") for value in ("", " ", ",", "a,,b", "a,")],
    (worker, [], "-P", "green"),
    (worker, [], "-P", ""),
    *[(call, ["t"], option, value) for option in ("--countdown", "--wait") for value in NO_NUMBER],
    *[(call, ["t"], "--priority", value) for value in ("-1", "256", "nan")],
    *[(result, ["id"], "--wait", value) for value in NO_NUMBER],
    *[(dead.commands["drop"], [], "--older-than", value) for value in NO_NUMBER],
]


@pytest.mark.parametrize(
    ("command", "arguments", "option", "value"),
    REFUSED,
    ids=[f"{command.name} {option} {value!r}" for command, _, option, value in REFUSED],
)
def test_a_value_that_cannot_be_meant_is_a_usage_error_that_names_the_option(
    command, arguments, option, value
):
    with pytest.raises(click.BadParameter) as error:
        parsed(command, *arguments, option, value)

    assert error.value.exit_code == 2
    assert f"Invalid value for '{option}'" in error.value.format_message()


def test_what_can_be_meant_is_taken():
    found = parsed(
        worker, "-c", "4", "-P", "prefork", "--time-limit", "0.5", "--grace", "0", "-Q", "a, b", "-X", "b"
    )

    assert (found["concurrency"], found["pool"], found["time_limit"], found["grace"]) == (
        4,
        "prefork",
        0.5,
        0,
    )
    assert (found["queues"], found["exclude_queues"]) == (["a", "b"], ["b"])
    assert parsed(worker)["queues"] == []
    assert parsed(call, "t", "--countdown", "1.5", "--priority", "0")["countdown"] == 1.5


def parsed(command, *arguments):
    """The parameters that a command line gives; the command does not run."""
    return command.make_context(command.name, list(arguments)).params
