"""What tests of beats share: a broker and a store of their own."""

from __future__ import annotations

import pytest

from support import servers
from support.acceptance_tasks import NAME
from support.thorough import in_turn


@pytest.fixture
def common(tmp_path):
    """What every command is told but where the store is: to be brief, the app, and a broker."""
    return ["-q", "-A", NAME, "-b", f"sqlite:///{tmp_path}/broker.db"]


@pytest.fixture(params=in_turn(["sqlite", "postgres", "mariadb"], always=["postgres"]))
def store(request, tmp_path):
    """The URL of a store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
    else:
        with servers.own_database(request.param) as url:
            yield url
