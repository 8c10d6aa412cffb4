"""Installed: the version of backbeat that runs, as its package says; "" where it runs from a checkout without one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version, such as 0.1.0."""
    try:
        return version("backbeat")
    except PackageNotFoundError:
        return ""
