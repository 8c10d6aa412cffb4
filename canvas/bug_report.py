"""BugReport: versions and settings of an app as text, without secrets, for who reports a fault; and the settings alone."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .redaction import HIDDEN, SECRET
from .url_text import without_password

PACKAGES = (
    "kombu",
    "msgspec",
    "redis",
    "amqp",
    "SQLAlchemy",
    "psycopg",
    "PyMySQL",
    "gevent",
    "eventlet",
    "croniter",
)


def bug_report(app: Any) -> str:
    """Some lines: what runs here, and the settings that differ from their defaults."""
    packages = {name: found for name in PACKAGES if (found := version_of(name)) is not None}
    lines = [
        f"software -> backbeat:{version_of('backbeat') or 'from a checkout'} py:{platform.python_version()}",
        "packages -> " + " ".join(f"{name}:{found}" for name, found in packages.items()),
        f"platform -> {platform.system()}:{platform.release()} machine:{platform.machine()} imp:{sys.implementation.name}",
        f"app      -> {app.name or '(no name)'}, {len(app.tasks)} tasks",
        f"broker   -> {without_password(app.conf.broker_url)}",
        f"results  -> {without_password(app.conf.result_backend)}",
        "",
        *(f"{name}: {value!r}" for name, value in sorted(masked_settings(app.conf).items())),
    ]
    return "\n".join(lines) + "\n"


def version_of(package: str) -> str | None:
    """The version of an installed package, None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def masked_settings(conf: Any, *, with_defaults: bool = False) -> dict[str, Any]:
    """Settings that were given, or all; what is secret is not in it, and what JSON cannot hold is there as text."""
    names = [name for name in conf if with_defaults or conf.is_set(name)]
    return {name: _masked(name, conf[name]) for name in names}


def _masked(name: str, value: Any) -> Any:
    if SECRET.search(name) and value not in (None, False):
        return HIDDEN
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return without_password(value) if "://" in value else value
        case dict():
            return {str(key): _masked(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked("", item) for item in value]
    return repr(value)[:200]
