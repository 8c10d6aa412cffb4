"""A project of Django's: its settings and models are there where tasks run, tasks are sent with its transactions, its connections are fresh in each run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from support import servers
from support.celery_env import ready_program

SETTINGS = """
SECRET_KEY = "for tests alone"
INSTALLED_APPS = ["shop"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {databases!r}
CELERY_BROKER_URL = {broker!r}
CELERY_TASK_DEFAULT_QUEUE = "shop"
"""
APP = """
from backbeat.canvas import App

app = App("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
MODELS = """
from django.db import models

class Order(models.Model):
    name = models.CharField(max_length=50)
"""
TASKS = """
from backbeat.canvas import shared_task
from django.db import connection, transaction
from .models import Order

@shared_task
def name_of(pk):
    return Order.objects.get(pk=pk).name

@shared_task
def session():
    Order.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

@shared_task
def break_connection():
    connection.connection.close()

@shared_task
def later(pk):
    with transaction.atomic():
        name_of.delay_on_commit(pk)
    return "sent"
"""
BEFORE = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "proj.settings"
from proj.app import app
app.set_default()
app.import_modules()
from django.db import connection, transaction
from shop.models import Order
from shop import tasks
from backbeat.canvas.errors import UnknownResult
"""


class Project:
    def __init__(self, home):
        self.home = home

    def run(self, script):
        """What a script of the project prints last, decoded."""
        command = [sys.executable, "-c", BEFORE + script]
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    home = tmp_path_factory.mktemp("django")
    with ExitStack() as lent:
        url = lent.enter_context(servers.own_database("postgres"))
        database = url.rsplit("/", 1)[1].partition("?")[0]
        known = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database,
            "HOST": "127.0.0.1",
            "USER": "root",
        }
        known |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
        settings = SETTINGS.format(databases={"default": known}, broker=f"sqlite:///{home}/queue.db")
        for path, text in {
            "proj/__init__.py": "",
            "proj/settings.py": settings,
            "proj/app.py": APP,
            "shop/__init__.py": "",
            "shop/models.py": MODELS,
            "shop/tasks.py": TASKS,
        }.items():
            (home / path).parent.mkdir(exist_ok=True)
            (home / path).write_text(text)
        opened = Project(home)
        opened.run(
            "with connection.schema_editor() as editor: editor.create_model(Order)\n"
            "Order.objects.create(name='first'); print(1)"
        )
        command = [
            "env",
            "DJANGO_SETTINGS_MODULE=proj.settings",
            sys.executable,
            "-m",
            "backbeat.scheduler.cli",
        ]
        lent.enter_context(ready_program(home, *command, "-A", "proj.app:app", "worker", "-c", "1"))
        yield opened


def test_a_task_of_an_installed_app_reads_the_models(project):
    assert project.run("print(json.dumps(tasks.name_of.delay(1).get(timeout=20)))") == "first"


def test_a_task_is_sent_when_the_transaction_commits_and_finds_what_it_wrote(project):
    script = """
with transaction.atomic():
    order = Order.objects.create(name="new")
    handle = tasks.name_of.delay_on_commit(order.pk)
    try:
        handle.get(timeout=0.3)
    except UnknownResult:
        waited = True
print(json.dumps([waited, handle.get(timeout=20)]))
"""
    assert project.run(script) == [True, "new"]


def test_a_task_of_a_transaction_that_is_rolled_back_is_never_sent(project):
    script = """
try:
    with transaction.atomic():
        handle = tasks.name_of.apply_async_on_commit((1,), queue="shop", countdown=0)
        raise ValueError
except ValueError:
    pass
tasks.name_of.delay(1).get(timeout=20)
print(json.dumps(handle.exists()))
"""
    assert project.run(script) is False


def test_outside_a_transaction_it_is_sent_at_once_and_its_id_may_be_given(project):
    script = """
handle = tasks.name_of.apply_async_on_commit((1,), task_id="an-id-of-ours")
print(json.dumps([handle.id, handle.get(timeout=20)]))
"""
    assert project.run(script) == ["an-id-of-ours", "first"]


def test_arguments_that_the_task_does_not_take_are_refused_before_the_commit(project):
    script = """
try:
    with transaction.atomic():
        tasks.name_of.delay_on_commit()
except TypeError as error:
    print(json.dumps(str(error)))
"""
    assert "name_of" in project.run(script)


def test_a_task_may_send_with_its_own_transaction(project):
    assert project.run("print(json.dumps(tasks.later.delay(1).get(timeout=20)))") == "sent"


def test_a_connection_lives_from_task_to_task_and_is_replaced_when_it_is_broken(project):
    script = """
first = tasks.session.delay().get(timeout=20)
second = tasks.session.delay().get(timeout=20)
tasks.break_connection.delay().get(timeout=20)
third = tasks.session.delay().get(timeout=20)
print(json.dumps([first == second, third != second]))
"""
    assert project.run(script) == [True, True]


def test_without_django_it_is_said_what_there_is_instead():
    script = (
        "import sys; sys.modules['django'] = sys.modules['django.db'] = None\n"
        "from backbeat.canvas import App\napp = App('a', broker='memory://')\n"
        "try: app.task(name='t')(lambda: 1).delay_on_commit()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environ
    )

    assert done.stdout.startswith("ImproperlyConfigured delay_on_commit and apply_async_on_commit"), (
        done.stderr
    )
    assert "app.transaction(session)" in done.stdout
