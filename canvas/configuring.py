"""Configuring: how a project tells an app its settings and where its tasks are; what Celery's app can be asked about them. A part of App."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from . import django_project, signals
from .autodiscovery import Discovery, Packages
from .config import Config
from .current import running_task
from .errors import ImproperlyConfigured
from .hook import Hook
from .importing import imported
from .settings_source import settings_of
from .signal import Signal


class Configuring:
    """Of an app with the settings `conf`."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self.conf = Config(settings)
        self.on_configure, self.on_after_configure, self.on_after_finalize = Hook(), Hook(), Hook()
        self.on_after_fork = Signal("on_after_fork")
        """A process that runs tasks begins; `sender` is the app."""
        self._discoveries: list[Discovery] = []

    # --- settings ------------------------------------------------------------------------------------------------------------

    def config_from_object(
        self, source: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> bool:
        """Take settings from a mapping, an object, a class, a module, or the name of one: "proj.settings", "django.conf:settings".

        Without `namespace` these are all lower-case names that are no underscore names; with `namespace="CELERY"` all that begin with
        CELERY_ (CELERY_BROKER_URL is broker_url). It is done at once, whatever `force` says. Returns True; with `silent` False for what cannot be imported.
        Unless `canvas_mode` is given, canvases are then composed as Celery does it: `canvas_mode` is "celery".

        Raises ImproperlyConfigured for a module that cannot be imported, a setting that does not exist, and a value that cannot be.
        """
        del force  # nothing is put off
        try:
            settings = settings_of(source, namespace)
        except ImproperlyConfigured as error:
            if silent and isinstance(error.__cause__, ImportError):
                return False
            raise
        if not self.conf.is_set("canvas_mode"):
            self.conf.canvas_mode = "celery"  # a Celery project's way to set it up (decisions K23)
        self.conf.update(settings)
        return True

    def config_from_envvar(self, variable: str, silent: bool = False, force: bool = False) -> bool:
        """As `config_from_object`, of the module that an environment variable names; with `silent` False if it names none."""
        name = os.environ.get(variable)
        if name:
            return self.config_from_object(name, silent=silent, force=force)
        if silent:
            return False
        raise ImproperlyConfigured(
            f"the environment variable {variable} names no module of settings: set it, {variable}=proj.settings"
        )

    def add_defaults(self, settings: Mapping[str, Any] | Callable[[], Mapping[str, Any]]) -> None:
        """Take these settings where nothing was given."""
        for name, value in (settings() if callable(settings) else settings).items():
            if not self.conf.is_set(name):
                self.conf[name] = value

    def either(self, setting: str, *values: Any) -> Any:
        """The first of `values` that is not None, else the setting."""
        return next((value for value in values if value is not None), self.conf[setting])

    def setup_security(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: messages are signed with shared keys here, by the setting `security_keys`."""
        raise ImproperlyConfigured(
            "setup_security: certificates are not supported; messages are signed with the keys of the setting security_keys, "
            "App(security_keys='keys.json'): see docs/operating.md"
        )

    # --- time ----------------------------------------------------------------------------------------------------------------

    @property
    def timezone(self) -> tzinfo:
        """The zone of the setting `timezone`; UTC if there is none. Raises ImproperlyConfigured for a name that is not known."""
        zone = self.conf.timezone
        if zone is None or isinstance(zone, tzinfo):
            return zone or UTC
        try:
            return ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ImproperlyConfigured(f"timezone: there is no time zone {zone!r}") from error

    def uses_utc_timezone(self) -> bool:
        """Whether the setting `timezone` is UTC, or not given."""
        return self.timezone is UTC or str(self.timezone) == "UTC"

    def now(self) -> datetime:
        """The time now, in the app's zone."""
        return datetime.now(self.timezone)

    # --- tasks ---------------------------------------------------------------------------------------------------------------

    def autodiscover_tasks(
        self, packages: Packages = None, related_name: str | None = "tasks", force: bool = False
    ) -> None:
        """Import the module `related_name` of each of these packages that has one, when the app's modules are imported; with `force` at once.

        `packages`: names, or a function that returns them; by default the apps that Django has installed.
        Raises ImproperlyConfigured, then, for a package that is not there, and where importing a module fails.
        """
        discovery = Discovery(
            packages if packages is None or callable(packages) else list(packages), related_name
        )
        if force:
            discovery.import_all()
        else:
            self._discoveries.append(discovery)

    def import_modules(self) -> None:
        """Import the modules that define tasks. Raises ImproperlyConfigured, as a worker without its tasks is of no use."""
        if django_project.is_used():
            django_project.set_up()
        signals.import_modules.send(self)
        for module in (*self.conf.imports, *self.conf.include):
            imported(module)
        while self._discoveries:
            self._discoveries[0].import_all()
            self._discoveries.pop(0)

    def finalize(self) -> None:
        """Import the modules that define tasks, then call what waits for `on_configure`, `on_after_configure` and `on_after_finalize`."""
        self.import_modules()
        self.on_configure.send(self)
        self.on_after_configure.send(self)
        self.on_after_finalize.send(self)

    def gen_task_name(self, name: str, module: str) -> str:
        """The name of a task that is given none: module.function; those of the main program are named after the app."""
        return f"{self.name or module}.{name}" if module == "__main__" else f"{module}.{name}"

    @property
    def main(self) -> str | None:
        """The name that the app was given."""
        return self.name or None

    @property
    def current_task(self) -> Any:
        """The task that runs here; None outside of one."""
        return running_task()

    current_worker_task = current_task
