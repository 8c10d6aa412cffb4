"""A store belongs to one cluster: the first beat puts its name there, others are refused, commands take it from there."""

from __future__ import annotations

import pytest
from backbeat.scheduler import Schedules
from backbeat.scheduler.backfill import manual_firing
from backbeat.scheduler.cli.main import main
from backbeat.scheduler.store.base import StoreRefused
from backbeat.scheduler.store.engine import open_engine
from backbeat.scheduler.store.wiring import open_for_beat, open_store
from click.testing import CliRunner
from sqlalchemy import inspect

from support import servers


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/s.db"
        return
    with servers.own_database(request.param) as url:
        yield url


def test_a_beat_of_another_cluster_is_refused_and_told_what_to_do(url):
    open_for_beat(url, cluster="shop").close()

    with pytest.raises(StoreRefused, match=r"belongs to the cluster 'shop', not to 'blog'.*--cluster shop"):
        open_for_beat(url, cluster="blog")

    open_for_beat(url, cluster="shop").close()


def test_commands_need_not_name_the_cluster_and_may_not_name_another(url):
    open_for_beat(url, cluster="shop").close()

    with Schedules(url) as schedules:
        schedules.add("tick", task="a", every="5m")
        run = schedules.run_now("tick", request_id="r1")
        entry = schedules.records.get("tick").entry

    assert schedules.cluster == "shop"
    expected = manual_firing("shop", entry, "r1", run.due_us, rev=1, batch_id=0)
    assert run.task_id == expected.task_id
    with pytest.raises(StoreRefused, match="--cluster shop"):
        Schedules(url, cluster="blog")


def test_who_opened_the_store_before_the_first_beat_takes_the_cluster_that_it_has_by_now(url):
    with Schedules(url, cluster="blog") as schedules:
        schedules.add("tick", task="a", every="5m")
        open_for_beat(url, cluster="shop").close()

        run = schedules.run_now("tick", request_id="r1")
        entry = schedules.records.get("tick").entry

    assert run.task_id == manual_firing("shop", entry, "r1", run.due_us, rev=1, batch_id=0).task_id


def test_a_store_that_no_beat_has_used_is_nobodys(url):
    with Schedules(url, cluster="blog") as schedules:
        schedules.add("tick", task="a", every="5m")

    store = open_store(url, otherwise="shop")
    assert store.cluster == "shop"
    store.close()
    open_for_beat(url, cluster="shop").close()


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_command_that_only_looks_makes_no_store(kind):
    with servers.own_database(kind) as url:
        for command in (("schedules", "list"), ("audit",), ("next", "--from-store")):
            answer = CliRunner().invoke(main, ["--store", url, *command])
            assert answer.exit_code == 2, answer.output
            assert "there is no store at" in answer.output
        engine = open_engine(url)
        assert inspect(engine).get_table_names() == []
        engine.dispose()


def test_the_status_of_a_store_needs_no_app(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    added = ["--store", url, "schedules", "add", "tick", "--task", "a", "--every", "1h"]
    assert CliRunner().invoke(main, added).exit_code == 0

    answer = CliRunner().invoke(main, ["--store", url, "status"])

    assert answer.exit_code == 0, answer.output
    assert "not asked" in answer.output
