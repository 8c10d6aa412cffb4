"""What runs of hours keep in var/ comes into the documents: only between the marks of its own place, and with what was found."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from bench import reliability
from bench.page import write
from bench.tables import SOURCES

from chaos.senders import Race
from chaos.senders import document as senders_document
from chaos.workers.poison import Ended
from chaos.workers.report import document as workers_document
from chaos.workers.report import row
from chaos.workers.scenario import Outcome
from support.kill_figures import keep
from support.kill_matrix import Figures
from support.kill_tasks import LEASE_SECONDS


def cells(text):
    """The rows of the last table of a text, without its head."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return rows[max(i for i, line in enumerate(rows) if set(line) == {"---"}) + 1 :]


def test_figures_of_the_kill_points_are_kept_and_shown_with_the_lease_that_was_in_force(tmp_path):
    found = Figures("redis", points=436, trials=1_386, kills=1_492, runs=2_158, repeats=219, longest=5.81)
    found.by_name = Counter({"worker.taken": 900, "child.ran": 592})
    found.missed = [("call", ("x#1",))]
    found.troubles = ["a ran again"]
    path = tmp_path / "var" / "kill-points.json"

    keep([found], seed="77", path=path)
    text = reliability.kill_points(json.loads(path.read_text()))

    assert cells(text) == [["redis", "436", "1,386", "1,492", "2,158", "219", "1", "5.8 s", "1"]]
    assert f"(lease {LEASE_SECONDS:g} s)" in text
    assert "killed at 2 different points" in text
    assert "seed 77" in text


def test_what_each_kind_of_poison_ended_as_is_a_row_and_two_where_stacks_differ():
    letter = Ended(what="no id", id=None, reason="the message has no id", state="", error="")
    pickle = Ended(what="pickle", id="p", reason="content type\n'x' | 'y'", state="FAILURE", error="Reject")
    number = Ended(what="number as id", id=None, reason="the message has no id", state="", error="")
    rows = []
    for stack, ended in (("redis", [letter, pickle, letter, number]), ("postgres", [letter, number])):
        rows.append(row(Outcome(stack=stack, name="poison", poisons=ended), seed=1))
    rows.append(
        row(
            Outcome(stack="other", name="poison", poisons=[replace(letter, reason="x" * 200), number]),
            seed=1,
        )
    )
    known = json.loads(json.dumps(workers_document(rows, seed=1, lease_seconds=2.0, is_whole=True)))

    text = reliability.poison(known)

    assert "3 kinds, 8 messages, on redis, postgres, other." in text
    assert cells(text.replace("\\|", "/")) == [
        ["no id", "redis, postgres", "has none", "the message has no id"],
        ["no id", "other", "has none", "x" * 100 + "..."],
        ["number as id", "all", "has none", "the message has no id"],
        ["pickle", "redis", "FAILURE, Reject", "content type 'x' / 'y'"],
    ]
    assert {bar["name"]: bar["is_met"] for bar in known["bars"]}["kinds of poison"] is False
    assert reliability.poison({**known, "rows": [{**each, "poisons": []} for each in known["rows"]]}) == ""


@pytest.mark.parametrize(
    "wrong", [{"handles": 49_999}, {"ids": 2}, {"runs": 2}, {"runs": 0}, {"strangers": 1}]
)
def test_senders_of_one_key_must_get_one_id_that_runs_once(wrong):
    good = {"handles": 50_000, "ids": 1, "runs": 1, "strangers": 0}
    common = {"stack": "redis", "children": 50, "sends": 1_000, "seconds": 7.25}
    known = senders_document([Race(**common, **good), Race(**common, **{**good, **wrong})])

    assert [bar["is_met"] for bar in known["bars"]].count(False) == 1
    assert all(bar["is_met"] for bar in senders_document([Race(**common, **good)])["bars"])
    assert cells(reliability.senders(known))[0] == ["redis", "50", "1,000", "50,000", "1", "1", "7.2"]


def test_figures_come_between_their_own_marks_and_change_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\nold\n<!-- y: end -->\n"
    )

    write(page, "new", "y")

    assert (
        page.read_text()
        == "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\nnew\n<!-- y: end -->\n"
    )
    with pytest.raises(SystemExit, match="no place for figures"):
        write(page, "new", "z")


@pytest.mark.parametrize(("document", "name"), [(document, name) for document, _, _, name in SOURCES])
def test_each_document_has_a_place_for_each_of_its_figures(document, name):
    text = document.read_text()

    assert text.count(f"<!-- {name}: begin -->") == 1
    assert text.count(f"<!-- {name}: end -->") == 1
