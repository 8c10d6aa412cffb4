"""Settings: Celery's lower-case names; others are refused with a suggestion."""

from __future__ import annotations

import warnings
from types import ModuleType, SimpleNamespace

import pytest
from backbeat.canvas import App
from backbeat.canvas.config import FORMER, Config
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.known_settings import DEFAULTS
from backbeat.canvas.message import Message


def test_settings_are_attributes_and_items():
    conf = Config({"task_default_queue": "q"})
    conf.result_expires = 5
    conf["broker_url"] = "memory://"

    assert (conf["task_default_queue"], conf.task_default_queue) == ("q", "q")
    assert (conf["result_expires"], conf.broker_url) == (5, "memory://")
    assert conf.task_acks_late is True
    conf.update(task_ignore_result=True)
    assert conf.task_ignore_result
    del conf["task_ignore_result"]
    assert not conf.task_ignore_result


def test_it_is_a_mapping_of_all_names():
    conf = Config()

    assert dict(conf) == DEFAULTS
    assert len(conf) == len(DEFAULTS)
    assert "broker_url" in conf
    assert "broker_ulr" not in conf
    assert not conf.is_set("broker_url")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("broker_ulr", "broker_url"),
        ("task_default_que", "task_default_queue"),
        ("BROKER_WRITE_ULR", "broker_write_url"),
        ("result_expire", "result_expires"),
    ],
)
def test_a_misspelt_name_is_refused_with_a_suggestion(name, meant):
    conf = Config()
    wanted = rf"no setting '{name}'; did you mean '{meant}'\?"

    with pytest.raises(ImproperlyConfigured, match=wanted):
        conf[name] = 1
    with pytest.raises(ImproperlyConfigured, match=wanted):
        setattr(conf, name, 1)
    with pytest.raises(ImproperlyConfigured, match=wanted):
        _ = conf[name]
    with pytest.raises(ImproperlyConfigured, match=wanted):
        Config({name: 1})
    with pytest.raises(ImproperlyConfigured, match=wanted):
        App("a", set_as_current=False, **{name: 1})


def test_a_name_like_no_other_is_refused():
    with pytest.raises(ImproperlyConfigured, match=r"there is no setting 'qqqqq'$"):
        Config({"qqqqq": 1})


@pytest.mark.parametrize(("old", "new"), FORMER.items())
def test_old_upper_case_names_are_told_their_new_one(old, new):
    with pytest.raises(ImproperlyConfigured, match=f"{old}' has a new name: {new}"):
        Config({old: 1})
    assert new in DEFAULTS


@pytest.mark.parametrize(("name", "value"), [("task_serializer", "pickle"), ("task_protocol", 1)])
def test_values_that_this_version_does_not_know_are_refused(name, value):
    with pytest.raises(ImproperlyConfigured, match="not supported"):
        Config({name: value})


def test_a_setting_that_is_not_obeyed_warns():
    with pytest.warns(UserWarning, match="does not obey it yet"):
        Config({"worker_direct": True})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config({"worker_direct": False})
        Config({"worker_prefetch_multiplier": 4})


def test_the_environment_fills_what_was_not_given():
    conf = Config({"result_backend": "given"})
    conf.read_environment(
        {"CELERY_BROKER_URL": "old", "BACKBEAT_BROKER_URL": "new", "CELERY_RESULT_BACKEND": "env"}
    )
    assert (conf.broker_url, conf.result_backend) == ("new", "given")

    conf = Config()
    conf.read_environment({"CELERY_BROKER_URL": "old"})
    assert (conf.broker_url, conf.result_backend) == ("old", None)


@pytest.mark.parametrize("kind", ["mapping", "object", "module", "class"])
def test_settings_come_from_a_mapping_an_object_a_module_or_a_class_and_its_bases(kind):
    values = {"task_default_queue": "q", "result_expires": 7}
    source = values if kind == "mapping" else SimpleNamespace(**values)
    if kind == "module":
        source = ModuleType("settings")
        vars(source).update(values, json=warnings, helper=print, _own=1, UPPER=2)
    if kind == "class":
        source = type("Own", (type("Base", (), values),), {})
    app = App("a", set_as_current=False)

    app.config_from_object(source)

    assert (app.conf.task_default_queue, app.conf.result_expires) == ("q", 7)


@pytest.mark.parametrize(
    ("setting", "own", "headers", "early"),
    [
        (True, None, {}, False),
        (False, None, {}, True),
        (True, False, {}, True),
        (False, True, {}, False),
        (True, True, {"delivery": "at_most_once"}, True),
        (True, False, {"delivery": "at_least_once"}, True),
    ],
)
def test_k9_the_setting_holds_unless_the_task_says_otherwise(setting, own, headers, early):
    app = App("a", set_as_current=False, task_acks_late=setting)
    options = {} if own is None else {"acks_late": own}
    app.task(name="t", **options)(print)

    assert app.is_early(Message(id="a", task="t", headers=headers)) is early
