"""In a test's world, as elsewhere, what is sent in a transaction exists if that commits; eager mode knows no transactions."""

from __future__ import annotations

import pytest
from backbeat.canvas import App
from backbeat.canvas.testing import in_memory
from sqlalchemy import create_engine
from sqlalchemy.orm import Session


@pytest.fixture
def app():
    app = App("shop", broker="amqp://nowhere.invalid", set_as_current=False)
    app.task(name="ship")(lambda order: order)
    return app


@pytest.fixture
def engine(sqlite_url):
    engine = create_engine(sqlite_url)
    yield engine
    engine.dispose()


def test_what_is_sent_in_a_transaction_is_sent_when_it_commits(app, engine):
    with in_memory(app) as world:
        with Session(engine) as session, app.transaction(session):
            result = app.send_task("ship", (1,))
            world.assert_not_sent("ship")
            session.commit()

        world.assert_sent("ship", [1])
        assert result.get() == 1


def test_what_is_sent_in_a_transaction_that_rolls_back_is_not_sent(app, engine):
    with in_memory(app) as world:
        with Session(engine) as session, app.transaction(session):
            app.send_task("ship", (1,))
            session.rollback()

        world.assert_not_sent("ship")


def test_eager_mode_does_not_wait_for_the_commit(app, engine):
    app.conf.task_always_eager = True

    with Session(engine) as session, app.transaction(session):
        assert app.send_task("ship", (1,)).get() == 1
        assert app.signature("ship", (2,)).apply_async(session=session).get() == 2
        session.rollback()
