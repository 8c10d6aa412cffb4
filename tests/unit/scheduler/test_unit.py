"""Units as they are fitted to a host."""

from __future__ import annotations

import pytest
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.unit import Unit

UNIT = Unit(
    "x.service",
    "WorkingDirectory=/opt/backbeat/app\nExecStart=/opt/backbeat/bin/backbeat beat\nDynamicUser=yes\nUser=backbeat\nStateDirectory=backbeat\n",
)


def test_a_unit_as_it_comes_stays_as_it_is():
    assert UNIT.fitted() == UNIT


def test_program_directory_and_account_are_put_in_and_nothing_else():
    fitted = UNIT.fitted(program="/srv/bb/bin/backbeat", directory="/srv/app", user="beat-runner")

    assert fitted.text == (
        "WorkingDirectory=/srv/app\nExecStart=/srv/bb/bin/backbeat beat\nDynamicUser=no\nUser=beat-runner\nStateDirectory=backbeat\n"
    )


@pytest.mark.parametrize("path", ["backbeat", "/a b", "/a%h", "/a;b", '/a"', "/a\n[Service]", "/$HOME"])
def test_a_path_that_a_unit_would_read_as_something_else_is_refused(path):
    with pytest.raises(ScheduleError):
        UNIT.fitted(program=path)
    with pytest.raises(ScheduleError):
        UNIT.fitted(directory=path)


@pytest.mark.parametrize("user", ["", "a b", "-x", "a\nb", "1000"])
def test_a_name_that_is_no_account_is_refused(user):
    with pytest.raises(ScheduleError):
        UNIT.fitted(user=user)
