"""How a project tells an app its settings, and where its tasks are."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace

import pytest
from backbeat.canvas import App, tasks
from backbeat.canvas.errors import ImproperlyConfigured


@pytest.fixture
def app():
    return App("proj", broker="memory://", set_as_current=False)


@pytest.fixture
def module(monkeypatch):
    """Makes modules that can be imported."""

    def make(name, **names):
        made = ModuleType(name)
        vars(made).update(names)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes packages on the path; forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before, shared = set(sys.modules), dict(tasks._shared)

    def make(name, **files):
        home = tmp_path.joinpath(*name.split("."))
        home.mkdir(parents=True)
        (home / "__init__.py").touch()
        for file, text in files.items():
            (home / f"{file}.py").write_text(text)

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]
    tasks._shared.clear()
    tasks._shared.update(shared)


# --- settings ------------------------------------------------------------------------------------------------------------------


class Django:
    """As django.conf.settings: attributes, which vars() does not show, among them those of others."""

    def __dir__(self):
        return ["CELERY_BROKER_URL", "CELERY_TASK_DEFAULT_QUEUE", "DEBUG", "INSTALLED_APPS", "CELERYLIKE"]

    def __getattr__(self, name):
        return {"CELERY_BROKER_URL": "memory://d", "CELERY_TASK_DEFAULT_QUEUE": "web"}[name]


def test_settings_of_a_namespace_are_read_from_whatever_has_attributes_or_keys(app, module):
    module("fake_conf", settings=Django())

    assert app.config_from_object("fake_conf:settings", namespace="CELERY")
    assert (app.conf.broker_url, app.conf.task_default_queue) == ("memory://d", "web")

    assert app.config_from_object({"BB_TASK_ACKS_LATE": False, "task_ignore_result": True}, namespace="BB_")
    assert (app.conf.task_acks_late, app.conf.task_ignore_result) == (False, False)


def test_a_name_of_a_namespace_that_is_no_setting_is_told(app):
    with pytest.warns(UserWarning, match="CELERY_FLOWER_PORT is no setting that is known here"):
        app.config_from_object(
            {"CELERY_FLOWER_PORT": 5555, "CELERY_BROKER_URL": "memory://x"}, namespace="CELERY"
        )
    assert app.conf.broker_url == "memory://x"


def test_settings_of_celery_3_are_told_their_new_names(app, module):
    module("old_settings", CELERY_RESULT_BACKEND="redis://", SECRET_KEY="x")

    with pytest.raises(
        ImproperlyConfigured,
        match=r"'CELERY_RESULT_BACKEND' has a new name: result_backend; .*namespace='CELERY'",
    ):
        app.config_from_object("old_settings")
    assert app.config_from_object("old_settings", namespace="CELERY")
    assert app.conf.result_backend == "redis://"


def test_settings_that_cannot_be_imported(app, module):
    module("broken_settings", task_acks_late="yes")

    with pytest.raises(ImproperlyConfigured, match="module no_such_settings cannot be imported"):
        app.config_from_object("no_such_settings")
    assert not app.config_from_object("no_such_settings", silent=True)
    with pytest.raises(ImproperlyConfigured, match="broken_settings:other: broken_settings has no 'other'"):
        app.config_from_object("broken_settings:other", silent=True)
    with pytest.raises(ImproperlyConfigured, match="task_acks_late"):
        app.config_from_object("broken_settings", silent=True)


def test_settings_of_a_module_that_the_environment_names(app, module, monkeypatch):
    module("named_settings", task_default_queue="q")
    monkeypatch.delenv("PROJ_SETTINGS", raising=False)

    with pytest.raises(ImproperlyConfigured, match="PROJ_SETTINGS names no module of settings: set it"):
        app.config_from_envvar("PROJ_SETTINGS")
    assert not app.config_from_envvar("PROJ_SETTINGS", silent=True)
    monkeypatch.setenv("PROJ_SETTINGS", "named_settings")
    assert app.config_from_envvar("PROJ_SETTINGS", force=True)
    assert app.conf.task_default_queue == "q"


def test_defaults_count_where_nothing_was_given(app):
    app.conf.task_default_queue = "given"
    app.add_defaults({"task_default_queue": "default", "task_ignore_result": True})
    app.add_defaults(lambda: {"task_acks_late": False, "task_ignore_result": False})

    assert (app.conf.task_default_queue, app.conf.task_ignore_result, app.conf.task_acks_late) == (
        "given",
        True,
        False,
    )
    assert (app.either("task_default_queue", None, 0), app.either("task_default_queue", None)) == (0, "given")


def test_security_by_certificates_is_refused_with_what_there_is(app):
    with pytest.raises(ImproperlyConfigured, match="setting security_keys"):
        app.setup_security()


def test_time_is_told_in_the_app_s_zone(app):
    assert (app.timezone, app.uses_utc_timezone(), app.now().tzinfo) == (UTC, True, UTC)

    app.conf.timezone = "Asia/Kolkata"

    assert (app.now().utcoffset(), app.uses_utc_timezone()) == (timedelta(hours=5, minutes=30), False)
    assert abs(app.now() - datetime.now(UTC)) < timedelta(seconds=10)
    app.conf.timezone = "Nowhere/Town"
    with pytest.raises(ImproperlyConfigured, match="no time zone 'Nowhere/Town'"):
        app.now()


def test_names(app):
    assert (app.main, App(set_as_current=False).main) == ("proj", None)
    assert (app.gen_task_name("f", "shop.tasks"), app.gen_task_name("f", "__main__")) == (
        "shop.tasks.f",
        "proj.f",
    )


def test_hooks_come_in_order_once(app):
    told = []
    for hook in (app.on_after_finalize, app.on_configure, app.on_after_configure):
        hook.connect(lambda sender, hook=hook: told.append((hook, sender)))

    app.finalize()
    app.finalize()

    assert told == [(hook, app) for hook in (app.on_configure, app.on_after_configure, app.on_after_finalize)]


# --- tasks ---------------------------------------------------------------------------------------------------------------------

TASKS = "from backbeat.canvas import shared_task\n@shared_task(name='{name}')\ndef f(): return '{name}'\n"


def test_modules_of_tasks_are_found_when_the_app_s_are_imported(app, package):
    package("disco_a", tasks=TASKS.format(name="disco_a"))
    package("disco_b", jobs=TASKS.format(name="disco_b"))
    package("disco_c", apps="class ShopConfig: pass", tasks=TASKS.format(name="disco_c"))
    package("disco_d", tasks=TASKS.format(name="disco_d"))
    asked = []

    app.autodiscover_tasks(["disco_a", "disco_b", "disco_c.apps.ShopConfig"])
    app.autodiscover_tasks(lambda: asked.append(1) or ["disco_b"], related_name="jobs")
    assert not {"disco_a", "disco_b", "disco_c"} & set(app.tasks)
    app.finalize()
    app.finalize()

    assert {"disco_a", "disco_b", "disco_c"} <= set(app.tasks)
    assert asked == [1]
    app.autodiscover_tasks(["disco_d"], force=True)
    assert app.tasks["disco_d"]() == "disco_d"


def test_a_package_itself_may_have_the_tasks(app, package):
    package("disco_e", __init__=TASKS.format(name="disco_e"))

    app.autodiscover_tasks(["disco_e"], related_name=None, force=True)

    assert "disco_e" in app.tasks


def test_what_cannot_be_found_or_imported_is_told(app, package, monkeypatch):
    package("disco_f", tasks="import no_such_module_at_all")
    package("disco_g", tasks="1 / 0")
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)

    for packages, text in (
        (["disco_nowhere"], "package disco_nowhere cannot be imported"),
        (["disco_f.disco_nowhere"], "package disco_f.disco_nowhere cannot be imported"),
        (["disco_f"], "module disco_f.tasks cannot be imported.*no_such_module_at_all"),
        (["disco_g"], "module disco_g.tasks cannot be imported.*ZeroDivisionError"),
        (None, r"there is no Django: name packages"),
    ):
        with pytest.raises(ImproperlyConfigured, match=text):
            app.autodiscover_tasks(packages, force=True)


def test_without_packages_it_is_the_apps_that_django_has_installed(app, package, module, monkeypatch):
    package("disco_h", tasks=TASKS.format(name="disco_h"))
    called = []
    apps = SimpleNamespace(ready=False, get_app_configs=lambda: [SimpleNamespace(name="disco_h")])

    def setup():
        called.append(1)
        apps.ready = True

    module("django", setup=setup)
    module("django.apps", apps=apps)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "disco.settings")

    app.autodiscover_tasks()
    app.import_modules()

    assert ("disco_h" in app.tasks, called) == (True, [1])
