"""A role of PostgreSQL that may not make tables is told what to do."""

from __future__ import annotations

import secrets

import pytest
from backbeat.canvas.commit.sql import SqlCommit
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.sql.engine import open_engine
from sqlalchemy import make_url, text

from support.servers import own_database


@pytest.fixture
def url_without_rights():
    role = f"bb_role_{secrets.token_hex(4)}"
    with own_database("postgres") as url:
        owner = open_engine(url)
        with owner.begin() as connection:
            connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
            connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'hidden'"))
        yield make_url(url).set(username=role, password="hidden").render_as_string(hide_password=False)
        with owner.begin() as connection:
            connection.execute(text(f"DROP ROLE {role}"))
        owner.dispose()


def test_a_role_that_may_not_make_tables_is_told_what_to_grant(url_without_rights):
    engine = open_engine(url_without_rights)
    with pytest.raises(ImproperlyConfigured, match=r"permission denied.*Grant the role CREATE") as refused:
        SqlCommit(engine, worker="w")
    engine.dispose()

    assert "hidden" not in str(refused.value)
