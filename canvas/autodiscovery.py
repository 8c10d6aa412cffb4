"""Autodiscovery: the modules of tasks that packages have, `tasks` by default: found when an app imports its modules, or at once."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from types import ModuleType

from msgspec import Struct

from . import django_project
from .errors import ImproperlyConfigured
from .importing import imported

Packages = Iterable[str] | Callable[[], Iterable[str]] | None


class Discovery(Struct, frozen=True):
    """What one call of `autodiscover_tasks` asked for. `packages` None: the apps that Django has installed."""

    packages: Packages
    related_name: str | None

    def import_all(self) -> list[str]:
        """Import what there is; returns the names of the modules. Raises ImproperlyConfigured that says where importing one failed."""
        packages = self.packages() if callable(self.packages) else self.packages
        names = (
            _installed_apps() if packages is None else [packages] if isinstance(packages, str) else packages
        )
        found = [name for package in names if (name := self._module_of(package)) is not None]
        for name in found:
            imported(name)
        return found

    def _module_of(self, package: str) -> str | None:
        """The module of that package; None if it has none. Django may name a class in it instead (proj.apps.ProjConfig)."""
        if _module(package) is None:
            place, _, name = package.rpartition(".")
            module = _module(place) if place else None
            if not hasattr(module, name):
                raise ImproperlyConfigured(
                    f"autodiscover_tasks: package {package} cannot be imported: there is none"
                )
            package = place if hasattr(module, "__path__") else place.rpartition(".")[0]
        if not self.related_name:
            return package
        name = f"{package}.{self.related_name}"
        try:
            return name if importlib.util.find_spec(name) is not None else None
        except ModuleNotFoundError:  # it is a module, and has none below it
            return None


def _module(name: str) -> ModuleType | None:
    """None if there is none of that name. Raises ImproperlyConfigured if it cannot be imported."""
    try:
        found = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what should hold it is no package
        found = False
    return imported(name) if found else None


def _installed_apps() -> list[str]:
    if not django_project.is_used() and "django.conf" not in sys.modules:
        raise ImproperlyConfigured(
            "autodiscover_tasks() looks into the apps that Django has installed, and there is no Django: name packages, "
            "autodiscover_tasks(['proj.shop'])"
        )
    django_project.set_up()
    return [config.name for config in importlib.import_module("django.apps").apps.get_app_configs()]
