"""Celery's flags of a worker: passed over with a word, or refused with what to do instead."""

from __future__ import annotations

import click
import pytest
from backbeat.canvas.cli_celery_flags import (
    PASSED_OVER,
    PASSED_OVER_VALUES,
    REFUSED,
    REFUSED_VALUES,
    celery_flags,
)
from click.testing import CliRunner


@click.command()
@click.option("-c", "--concurrency", type=int)
@celery_flags
def worker(concurrency):
    click.echo(f"runs with {concurrency}")


def run(*arguments):
    return CliRunner().invoke(worker, ["-c", "3", *arguments])


@pytest.mark.parametrize(
    "arguments", [[name] for name in PASSED_OVER] + [[name, "fair"] for name in PASSED_OVER_VALUES], ids=str
)
def test_a_flag_without_harm_is_passed_over_with_the_reason(arguments):
    answer = run(*arguments)

    assert answer.exit_code == 0
    assert answer.stdout == "runs with 3\n"
    assert f"{arguments[0]} is passed over: " in answer.stderr


@pytest.mark.parametrize(
    "arguments", [[name] for name in REFUSED] + [[name, "value"] for name in REFUSED_VALUES], ids=str
)
def test_a_flag_that_would_be_missed_is_refused_with_what_to_do(arguments):
    answer = run(*arguments)

    assert answer.exit_code == 2
    assert f"{arguments[0]} is a flag of Celery's that is not here: " in answer.stderr
    assert "runs" not in answer.stdout


def test_nothing_is_said_of_flags_that_are_not_given_and_none_is_in_the_help():
    assert run().output == "runs with 3\n"
    shown = CliRunner().invoke(worker, ["--help"]).output
    assert not any(name in shown for name in (*PASSED_OVER, *REFUSED, "--logfile", "--statedb"))
