"""ZoneData: the time zones themselves, from the tzdata package first, so that hosts of one installation agree.

Not pure: it reads files, once a zone. What the package does not have is taken from the system, for a zone that is newer than the
package. Only names of the IANA database are zones: not "localtime", nor a path. Called by zone.py only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module, resources
from zoneinfo import ZoneInfo, available_timezones

_PACKAGE = "tzdata"


class PackagedZone(ZoneInfo):
    """A zone of the tzdata package. A ZoneInfo like any other, but that a copy and a pickle find it by name again."""

    def __reduce__(self) -> tuple[Callable[[str], ZoneInfo], tuple[str]]:
        return load_zone, (self.key,)


@cache
def load_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; one object for each. Raises: KeyError for a name that is none."""
    if name in _packaged_names():
        folder, _, leaf = name.rpartition("/")
        with resources.files(f"{_PACKAGE}.zoneinfo").joinpath(*folder.split("/"), leaf).open("rb") as file:
            return PackagedZone.from_file(file, key=name)
    return system_zone(name)


def system_zone(name: str) -> ZoneInfo:
    """The system's zone of an IANA name. Raises: KeyError for a name that is none."""
    if name not in system_names():
        raise KeyError(name)
    return ZoneInfo(name)


@cache
def system_names() -> frozenset[str]:
    """The names of the zones that zoneinfo knows; it reads the disk, some milliseconds the first time."""
    return frozenset(name for name in available_timezones() if name[0].isupper())  # not "localtime"


def zone_names() -> frozenset[str]:
    """All names that `load_zone` takes."""
    return _packaged_names() | system_names()


def zone_data_version() -> str:
    """The version of the zone data, such as "2026f"; "system" where the tzdata package is missing."""
    try:
        version: str = import_module(_PACKAGE).IANA_VERSION
    except ModuleNotFoundError:
        return "system"
    return version


@cache
def _packaged_names() -> frozenset[str]:
    try:
        return frozenset(resources.files(_PACKAGE).joinpath("zones").read_text("utf-8").split())
    except ModuleNotFoundError:
        return frozenset()
