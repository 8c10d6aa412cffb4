"""What users' type checkers see: mypy over small programs, whose wrong lines say which errors they are (`# E: code code`)."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.py"))
EXPECTED = re.compile(r"# E: (?P<codes>[a-z -]+)$")
FOUND = re.compile(r"^(?P<path>.*?):(?P<line>\d+): error: (?P<text>.*)  \[(?P<code>[a-z-]+)\]$")


@pytest.fixture(scope="module")
def found():
    """File name -> line -> codes and texts of the errors, of one run over all samples, as strict as a careful user's."""
    arguments = [
        "--strict",
        "--no-incremental",
        "--show-error-codes",
        "--no-error-summary",
        "--hide-error-context",
    ]
    no_settings = ["--config-file=", "--python-version=3.11", "--no-pretty", "--no-color-output"]
    out, problems, _ = api.run([*arguments, *no_settings, *map(str, SAMPLES)])
    assert problems == ""
    errors = defaultdict(lambda: defaultdict(list))
    for line in out.splitlines():
        match = FOUND.match(line)
        if match is None:
            assert ": note: " in line, line
            continue
        errors[Path(match["path"]).name][int(match["line"])].append((match["code"], match["text"]))
    return errors


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_mypy_finds_the_marked_errors_and_no_others(found, sample):
    expected = {
        number: set(match["codes"].split())
        for number, line in enumerate(sample.read_text().splitlines(), 1)
        if (match := EXPECTED.search(line))
    }

    errors = found[sample.name]

    shown = "\n".join(f"{sample.name}:{number}: {errors[number]}" for number in sorted(errors))
    assert {number: {code for code, _ in errors[number]} for number in errors} == expected, shown


def test_nothing_of_ours_is_complained_about(found):
    """A user who checks their own program is not told about errors in backbeat."""
    assert set(found) <= {sample.name for sample in SAMPLES}
