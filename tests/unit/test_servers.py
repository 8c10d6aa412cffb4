"""What is missing is a skip on a laptop, and a failure in CI."""

from __future__ import annotations

import pytest

from support import servers


@pytest.mark.parametrize(("ci", "ends_as"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_program_that_is_missing_fails_its_test_in_ci_only(monkeypatch, ci, ends_as):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(servers, "missing", {})

    with pytest.raises(ends_as, match="NO NO-SUCH-PROGRAM"):
        servers.require_program("no-such-program")

    assert servers.missing == {"no-such-program": "not installed"}


def test_a_program_that_is_there_is_found():
    assert servers.require_program("sh").endswith("/sh")
