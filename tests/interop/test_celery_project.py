"""A Celery project (tests/data/celery_project), run by a real Celery 5.7 and, with only its import root changed, by backbeat: the same values."""

from __future__ import annotations

import re

import pytest

from support.celery_env import only_newest
from support.celery_project import EXAMPLES, PROJECT, moved, values
from support.stacks import own_redis_database

pytestmark = only_newest

STRICT = {
    ("pipes", "a group of one as a later step"): [2],
    ("handles", "unknown"): "UNKNOWN",
    ("handles", "forgotten"): "UNKNOWN",
}
"""What is different with `canvas_mode = "strict"`; besides this `groups` cannot link to a group."""


def project(tmp_path_factory, name, **options):
    with own_redis_database() as url:
        return values(tmp_path_factory.mktemp(name), url, **options)


@pytest.fixture(scope="module")
def celerys(tmp_path_factory):
    return project(tmp_path_factory, "celery", celery=True)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return project(tmp_path_factory, "ours", celery=False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_gives_with_celery(celerys, ours, name):
    assert "value" in celerys[name], celerys[name]["raised"]
    assert ours[name] == celerys[name]


@pytest.mark.timeout(300)
def test_in_strict_mode_only_what_is_listed_is_different(ours, tmp_path_factory):
    strict = project(
        tmp_path_factory,
        "strict",
        celery=False,
        names=["pipes", "handles", "groups", "chords", "stages", "nested_chords", "errbacks", "mapping"],
        settings='canvas_mode = "strict"\n',
    )

    assert "a group has no single end to link" in strict.pop("groups")["raised"]
    different = {
        (name, about): value
        for name, found in strict.items()
        for about, value in found["value"].items()
        if value != ours[name]["value"][about]
    }
    assert different == STRICT


def test_there_are_twenty_examples_and_more_and_nothing_but_the_root_is_changed():
    assert len(EXAMPLES) >= 20
    for path in PROJECT.glob("*.py"):
        before, after = path.read_text().splitlines(), moved(path.read_text()).splitlines()
        for old, new in zip(before, after, strict=True):
            assert old == new or re.sub(r"^from backbeat\.canvas\b", "from celery", new) == old
