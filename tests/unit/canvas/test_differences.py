"""docs/differences-from-celery.md: what it says is so, and what it does not say is as in Celery 5.7 (tests/data)."""

from __future__ import annotations

import importlib
import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from backbeat.canvas import App, AsyncResult, chain, chord, group, maybe_signature
from backbeat.canvas.app import app_or_default
from backbeat.canvas.compose.chain import chain as chain_type
from backbeat.canvas.config import Config
from backbeat.canvas.errors import UnknownResult
from backbeat.canvas.local import Proxy, maybe_evaluate
from backbeat.canvas.schedules import crontab, maybe_schedule, schedule
from backbeat.canvas.utils import functional
from backbeat.canvas.utils.time import get_exponential_backoff_interval

from support.eager import Fleet

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "differences-from-celery.md").read_text()
NAMES = json.loads((ROOT / "tests" / "data" / "names-celery-5.7.0.json").read_text())["modules"]
SETTINGS = json.loads((ROOT / "tests" / "data" / "settings-celery-5.7.0.json").read_text())
DEVIATIONS = "S12 C8 C11 G5 H6 H16 H17 O5 V1 V2 V4 W1 W2 W3 K21 K22".split()
"""The rules that are marked as defects of Celery's, and those of decisions that change what a project sees."""


def rows(title):
    """The cells of the tables below a title."""
    part = PAGE.split(f"\n## {title}", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


# --- the page --------------------------------------------------------------------------------------------------------------------


def test_each_deviation_is_a_row_of_the_page():
    listed = {rule for row in rows("Canvas") for rule in row[0].split(", ")}

    assert set(DEVIATIONS) <= listed


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE))))
def test_each_test_that_the_page_names_exists(named):
    path, test = named

    assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_each_row_of_the_canvas_names_a_test():
    assert all(row[-1].startswith("`tests/") for row in rows("Canvas")[2:])
    assert all(row[-1].startswith("`tests/") for row in rows("What is refused")[2:])


def ours(module):
    """Our module of this path, or None."""
    try:
        return importlib.import_module("backbeat.canvas" + module.removeprefix("celery"))
    except ModuleNotFoundError:
        return None


def missing():
    """(module, name) of Celery's that cannot be imported here; the name is None for a module."""
    for module, names in NAMES.items():
        found = ours(module)
        if found is None:
            yield module, None
            continue
        offered = getattr(
            found, "__all__", dir(found)
        )  # without those of our own modules that happen to be loaded
        for name in names:
            is_module = f"{module}.{name}" in NAMES and ours(f"{module}.{name}") is not None
            if name not in offered and not is_module:
                yield module, name


def excused():
    """(pattern of modules, name) of the page; the name is None where the whole module is excused."""
    for row in rows("Modules"):
        for text in re.findall(r"`(celery[^`]*)`", row[0]):
            module, _, names = text.partition(": ")
            yield from ((module, name) for name in names.split()) if names else [(module, None)]


def test_every_name_of_celerys_is_here_or_is_listed():
    listed = set(excused())
    gone = set(missing())

    assert {
        each
        for each in gone
        if not any(fnmatch(each[0], module) and (name is None or name == each[1]) for module, name in listed)
    } == set()
    assert {
        (module, name)
        for module, name in listed
        if not any(fnmatch(each[0], module) and (name is None or name == each[1]) for each in gone)
    } == set()


def test_c2_the_defaults_that_differ_are_those_of_the_page():
    listed = {
        name: row[2].strip("`")
        for row in rows("Defaults")
        if len(row) == 4
        for name in re.findall(r"`(\w+)`", row[0])
    }
    same_in_other_words = {"result_expires", "result_backend_max_retries"}
    known = {name: Config()[name] for name in SETTINGS if name in Config()}

    different = {name for name, value in known.items() if json.loads(json.dumps(value)) != SETTINGS[name]}
    assert different - same_in_other_words == set(listed)
    assert {name: repr(Config()[name]) for name in listed} == listed


def test_every_setting_of_celerys_is_here_or_is_listed():
    listed = [
        name
        for row in rows("Defaults")
        if len(row) == 2
        for text in re.findall(r"`([^`]*)`", row[0])
        for name in text.split()
    ]
    gone = {name for name in SETTINGS if name not in Config()}

    assert {name for name in gone if not any(fnmatch(name, each) for each in listed)} == set()
    assert {each for each in listed if not any(fnmatch(name, each) for name in gone)} == set()


def test_a_setting_that_is_not_needed_may_stay_and_another_value_is_told():
    assert Config({"worker_log_color": None}).worker_log_color is None
    with pytest.warns(UserWarning, match="worker_eta_task_limit"):
        Config({"worker_eta_task_limit": 100})


# --- what it says ------------------------------------------------------------------------------------------------------------------


class Shop(Fleet):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.ran = []

        @self.app.task(name="one")
        def one(*args):
            self.ran.append(args)
            return args[0]

        @self.app.task(name="me", bind=True)
        def me(self, *_):
            return self.request.root_id

        @self.app.task(name="fail")
        def fail(*_):
            raise ValueError("no")

        self.one, self.me, self.fail = one, me, fail


@pytest.mark.parametrize("mode", ["strict", "celery"])
def test_w1_what_follows_a_body_that_is_a_group_runs_once_with_the_list(mode):
    shop = Shop(canvas_mode=mode)
    header = [shop.one.s(1), shop.one.s(2)]
    body = group(shop.one.si(3), shop.one.si(4), shop.one.si(5))

    handle = (chord(header, body) | chain(shop.one.s("a"), shop.one.s("b"))).delay()
    shop.drain()

    assert handle.get(timeout=0) == [3, 4, 5]
    assert [args for args in shop.ran if args[-1] in ("a", "b")] == [([3, 4, 5], "a"), ([3, 4, 5], "b")]


def test_h16_a_whole_canvas_has_one_root():
    shop = Shop()

    handle = chord([shop.me.s(), shop.me.s() | shop.one.s()], shop.one.s()).delay()
    root = chord([shop.me.s()], shop.me.s()).delay()
    shop.drain()

    assert len(set(handle.get(timeout=0))) == 1
    assert [root.get(timeout=0)] == root.parent.get(timeout=0)


def test_o5_an_unknown_id_reads_pending_in_celerys_mode_and_get_raises_all_the_same():
    strict, celery = (AsyncResult("nobody", app=Shop(canvas_mode=mode).app) for mode in ("strict", "celery"))

    assert (strict.state, celery.state) == ("UNKNOWN", "PENDING")
    assert (strict.exists(), celery.exists()) == (False, False)
    for each in (strict, celery):
        with pytest.raises(UnknownResult):
            each.get(timeout=1)


@pytest.mark.parametrize(("tells", "calls"), [(False, 1), (True, 3)])
def test_h13_by_a_setting_error_callbacks_of_a_chord_are_those_of_its_members_too(tells, calls):
    shop = Shop(task_allow_error_cb_on_chord_header=tells)
    sig = chord([shop.fail.s(), shop.fail.s(), shop.one.s(1)], shop.one.s())
    sig.link_error(shop.one.si("told"))

    sig.delay()
    shop.drain()

    assert shop.ran.count(("told",)) == calls


def test_k23_settings_from_an_object_mean_celerys_mode_unless_they_say_otherwise():
    def mode(*sources, **settings):
        app = App("proj", broker="memory://", set_as_current=False, **settings)
        for source in sources:
            app.config_from_object(source)
        return app.conf.canvas_mode

    assert mode() == "strict"
    assert mode({"task_default_queue": "q"}) == "celery"
    assert mode({"canvas_mode": "strict"}) == "strict"
    assert mode({"canvas_mode": "strict"}, {"task_default_queue": "q"}) == "strict"
    assert mode({"task_default_queue": "q"}, canvas_mode="strict") == "strict"


def test_k23_settings_that_cannot_be_read_change_no_mode():
    app = App("proj", broker="memory://", set_as_current=False)

    assert app.config_from_object("no.such.module", silent=True) is False
    assert app.conf.canvas_mode == "strict"


# --- names that are only here for Celery's sake --------------------------------------------------------------------------------------


def test_a_signature_may_be_one_already_or_none_at_all():
    shop = Shop()
    sig = shop.one.s(1)

    assert maybe_signature(None) is None
    assert maybe_signature(sig) is sig
    assert maybe_signature(sig, clone=True) == sig
    assert maybe_signature(sig, clone=True) is not sig
    assert type(maybe_signature(json.loads(json.dumps(chain(sig, sig))))) is chain_type


def test_a_stand_in_is_looked_behind():
    here = ["a"]
    found = Proxy(lambda: here)

    assert found == ["a"]
    assert maybe_evaluate(found) is here
    assert maybe_evaluate(here) is here


def test_an_app_or_the_current_one():
    app = App("proj", broker="memory://")

    assert app_or_default() is app
    assert app_or_default("another") == "another"


def test_small_functions_on_sequences():
    assert list(functional.chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert functional.dictfilter({"a": 1, "b": None}, c=2, d=None) == {"a": 1, "c": 2}
    assert functional.first(lambda x: x > 1, [1, 2, 3]) == 2
    assert functional.first(None, [None, 0]) == 0
    assert functional.first(bool, []) is None
    assert [functional.maybe_list(each) for each in (None, "ab", b"ab", 1, [1], (1,), {"a": 1})] == [
        None,
        ["ab"],
        [b"ab"],
        [1],
        [1],
        (1,),
        [{"a": 1}],
    ]
    assert list(functional.uniq([3, 1, 3])) == [3, 1]
    assert functional.noop(1, a=2) is None


def test_the_delay_before_a_retry_doubles_up_to_a_limit():
    assert [get_exponential_backoff_interval(2, retries, 30) for retries in range(6)] == [2, 4, 8, 16, 30, 30]
    assert get_exponential_backoff_interval(1, 100_000, 60) == 60
    assert get_exponential_backoff_interval(-1, 1, 60) == 0
    assert {get_exponential_backoff_interval(1, 2, 60, full_jitter=True) for _ in range(200)} == {
        0,
        1,
        2,
        3,
        4,
    }


def test_schedules_are_equal_if_they_are_written_alike():
    assert crontab(minute=0, hour="*/3") == crontab(minute="0", hour="*/3")
    assert len({crontab(0, 0), crontab("0", "0")}) == 1
    assert crontab.from_string("30 7 * * 1") == crontab(hour=7, minute=30, day_of_week=1)
    assert crontab(minute=[0, 30]) != crontab(minute=0)
    assert crontab() != schedule(60)
    assert maybe_schedule(30.0) == schedule(30.0)
    assert maybe_schedule(crontab()) == crontab()
