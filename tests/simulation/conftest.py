"""What the tests of the simulation share."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture
def quiet(caplog):
    """Thousands of crashes are thousands of times the same lines."""
    caplog.set_level(logging.CRITICAL, logger="backbeat")
