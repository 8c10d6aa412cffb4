"""Schedules: entries from Python: add, change, pause, run now, backfill, and what became of them.

It is the registry with datetimes and the words of schedules.yaml, and knows no more than the command line does. No beat need
run: the store is edited, and the beat that leads, if there is one, sees it within a second. One call is one transaction.

    >>> from backbeat.scheduler import Schedules
    >>> with Schedules("memory://") as schedules:
    ...     added = schedules.add("report", task="shop.report", cron="30 2 * * mon-fri", timezone="Europe/Berlin")
    ...     paused = schedules.pause("report", reason="stocktaking")
    >>> (added.state, paused.state, paused.pause.reason)
    ('active', 'paused', 'stocktaking')
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, Unpack

from ..canvas.app import App
from .backfill import Backfill, Extent, check_range, extent
from .entry import Entry
from .errors import ScheduleError
from .fragment import ScheduleKeys, changes_of, difference, entry_of, undisturbed
from .order import (
    Add,
    Change,
    NoSuchEntry,
    Order,
    Pause,
    Remove,
    Resume,
    Revert,
    SkipNext,
    Unskip,
)
from .store.base import Store
from .store.registry import Edited, ManualRun, Standing, Which
from .store.registry_wiring import registry_of
from .store.wiring import open_store
from .view import AuditView, BackfillView, HistoryView, ScheduleView, us_of
from .wiring import store_url

ACTOR = 200
"""Characters of an actor that the store keeps."""


class Schedules:
    """The entries of one store. Thread-safe. `with` closes it.

    `where` is the address of a store, as `--store` takes it, or an app, whose store it is then. `actor` stands in the audit;
    default: BACKBEAT_ACTOR, else user@host. `cluster`, from which ids derive, is the one that the store belongs to; it need only be
    named before the first beat has run with the store, and then the app's name is the default, or "backbeat".
    """

    def __init__(
        self,
        where: str | App | Store,
        *,
        cluster: str | None = None,
        actor: str | None = None,
    ) -> None:
        self.actor = (actor or default_actor())[:ACTOR]
        if isinstance(where, App):
            where = open_store(store_url(where, None), cluster=cluster, otherwise=where.cluster)
        self.store = open_store(where, cluster=cluster) if isinstance(where, str) else where
        self.cluster = self.store.cluster
        self.registry, self.records, _ = registry_of(self.store)

    # --- entries ---------------------------------------------------------------------------------------------------------

    def add(self, name: str, **keys: Unpack[ScheduleKeys]) -> ScheduleView:
        """A new entry of the store's own, which fires from now on. The keys are those of schedules.yaml.

        >>> with Schedules("memory://") as schedules:
        ...     schedules.add("ping", task="ops.ping", every="30s").when
        'every 30s'

        Raises: ScheduleError for keys that make no entry; OrderRefused when there is one of this name.
        """
        return self.add_entry(entry_of(name, keys))

    def add_entry(self, entry: Entry) -> ScheduleView:
        """The same for an entry that was made elsewhere."""
        return self._view(self.order(entry.name, Add(entry=entry)).standing)

    def change(
        self,
        name: str,
        *,
        expected_rev: int | None = None,
        reason: str = "",
        until: datetime | None = None,
        **keys: Unpack[ScheduleKeys],
    ) -> ScheduleView:
        """Other values for some keys. What an entry of a file says stays below; with `until` it is itself again then.

        An edit never fires anything by itself. `expected_rev` is the revision that the caller has seen.
        Raises: Conflict when it is at another one; NoSuchEntry; ScheduleError for keys that make no entry.
        """
        standing = self._standing(name)
        # what the keys mean depends on what they are laid over, so nobody may change that in between
        seen_rev = standing.kept.rev if expected_rev is None else expected_rev
        changes = changes_of(standing.kept, keys)
        change = Change(changes=changes, reason=reason, until_us=_us_or_none(until))
        return self._view(self.order(name, change, expected_rev=seen_rev).standing)

    def change_to(
        self,
        name: str,
        entry: Entry,
        *,
        expected_rev: int | None = None,
        reason: str = "",
        until: datetime | None = None,
    ) -> ScheduleView:
        """The same for a whole definition: what it leaves out has its default."""
        standing = self._standing(name)
        seen_rev = standing.kept.rev if expected_rev is None else expected_rev
        changes = difference(undisturbed(standing.kept), entry)
        change = Change(changes=changes, reason=reason, until_us=_us_or_none(until))
        return self._view(self.order(name, change, expected_rev=seen_rev).standing)

    def revert(self, name: str) -> ScheduleView:
        """Take the change off that lies on the definition."""
        return self._view(self.order(name, Revert()).standing)

    def pause(self, name: str, *, reason: str = "", until: datetime | None = None) -> ScheduleView:
        """Do not fire, until `until` or until it is resumed. Nothing of the pause is made up for."""
        return self._view(self.order(name, Pause(reason=reason, until_us=_us_or_none(until))).standing)

    def resume(self, name: str) -> ScheduleView:
        """End the pause."""
        return self._view(self.order(name, Resume()).standing)

    def remove(self, name: str) -> ScheduleView:
        """Delete an entry of the store's own. Its history stays; added again it begins anew."""
        return self._view(self.order(name, Remove()).standing)

    def skip_next(self, name: str, count: int = 1, *, reason: str = "") -> ScheduleView:
        """Pass the next `count` fire times over, besides those that are passed over already."""
        return self._view(self.order(name, SkipNext(count=count, reason=reason)).standing)

    def unskip(self, name: str) -> ScheduleView:
        """Pass nothing over."""
        return self._view(self.order(name, Unskip()).standing)

    def order(self, name: str, order: Order, *, expected_rev: int | None = None) -> Edited:
        """Any order, as data."""
        return self.registry.edit(name, order, actor=self.actor, expected_rev=expected_rev)

    # --- runs ------------------------------------------------------------------------------------------------------------

    def run_now(
        self,
        name: str,
        *,
        request_id: str | None = None,
        args: Sequence[object] | None = None,
        kwargs: dict[str, object] | None = None,
    ) -> ManualRun:
        """Send the entry's task once, now, also while it is paused. The same `request_id` again adds nothing.

        `args` and `kwargs` take the place of the entry's own, for this run.
        Raises: ScheduleError for arguments where the entry is a canvas.
        """
        payload = None
        if args is not None or kwargs is not None:
            entry = self._standing(name).entry
            if entry.what.get("subtask_type"):
                raise ScheduleError(f"entry {name!r} is a {entry.what['subtask_type']}: it has no arguments")
            given = {"task": entry.what["task"], "args": args or [], "kwargs": kwargs or {}}
            if args is None:
                given["args"] = entry.what.get("args") or []
            if kwargs is None:
                given["kwargs"] = entry.what.get("kwargs") or {}
            payload = {**entry.what, **entry_of(name, {**given, "every": "1h"}).what}
            payload["options"] = entry.what.get("options") or {}
        return self.registry.run_now(name, request_id or str(uuid.uuid4()), actor=self.actor, payload=payload)

    def backfill(
        self,
        name: str,
        start: datetime,
        end: datetime,
        *,
        rate: float | None = None,
        reason: str = "",
        id: str | None = None,
    ) -> BackfillView:
        """Send the fire times from `start`, inclusive, to `end`, exclusive; at most `rate` a second. A beat does it.

        What an earlier backfill has sent is not sent again. Nothing of the entry's own times is moved or used up.
        Raises: ScheduleError for a range that is not past, or that holds more than a million fire times.
        """
        self.extent(name, start, end, rate=rate)
        wish = Backfill(
            id=id or str(uuid.uuid4()),
            entry=name,
            from_us=us_of(start),
            to_us=us_of(end),
            rate=rate,
            actor=self.actor,
            reason=reason,
        )
        return BackfillView.of(self.registry.backfill(wish))

    def extent(self, name: str, start: datetime, end: datetime, *, rate: float | None = None) -> Extent:
        """How many fire times a backfill of this range would send, and the first and the last: a dry run.

        Raises: ScheduleError as `backfill`.
        """
        start_us, end_us = us_of(start), us_of(end)
        wish = Backfill(id="", entry=name, from_us=start_us, to_us=end_us, rate=rate, actor=self.actor)
        check_range(wish, self.registry.now_us())
        return extent(self._standing(name).entry, wish.from_us, wish.to_us)

    def cancel_backfill(self, id: str) -> BackfillView:
        """Stop a backfill; what it has decided stays."""
        return BackfillView.of(self.registry.cancel_backfill(id, actor=self.actor))

    def backfills(self, limit: int = 100) -> Sequence[BackfillView]:
        """The newest ones, newest first."""
        return [BackfillView.of(each) for each in self.records.backfills(limit)]

    def get_backfill(self, id: str) -> BackfillView:
        """One of them. Raises NoSuchEntry."""
        for each in self.records.backfills(1, id):
            return BackfillView.of(each)
        raise NoSuchEntry(f"there is no backfill {id!r}")

    # --- what there is, and what was -------------------------------------------------------------------------------------

    def get(self, name: str) -> ScheduleView:
        """One entry, also one that was removed. Raises NoSuchEntry."""
        standing = self.records.get(name)
        if standing is None:
            raise NoSuchEntry(f"there is no entry {name!r}")
        return self._view(standing)

    def list(self, which: Which = Which.PRESENT) -> Sequence[ScheduleView]:
        """All entries, by name."""
        now_us = self.registry.now_us()
        return [ScheduleView.of(each, now_us) for each in self.records.entries(which)]

    def overrides(self) -> Sequence[ScheduleView]:
        """The entries that an override lies on."""
        return self.list(Which.OVERRIDDEN)

    def history(self, name: str, limit: int = 20, before: datetime | None = None) -> Sequence[HistoryView]:
        """The newest firings and skips, newest first."""
        return [HistoryView.of(each) for each in self.records.history(name, limit, _us_or_none(before))]

    def audit(self, name: str | None = None, limit: int = 50) -> Sequence[AuditView]:
        """Who did what, newest first."""
        return [AuditView.of(each) for each in self.records.audit(name, limit)]

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _standing(self, name: str) -> Standing:
        standing = self.records.get(name)
        if standing is None or standing.kept.removed:
            raise NoSuchEntry(f"there is no entry {name!r}")
        return standing

    def _view(self, standing: Standing) -> ScheduleView:
        return ScheduleView.of(standing, self.registry.now_us())


def default_actor() -> str:
    """BACKBEAT_ACTOR, else user@host."""
    return os.environ.get("BACKBEAT_ACTOR") or f"{getpass.getuser()}@{socket.gethostname()}"


def _us_or_none(instant: datetime | None) -> int | None:
    return None if instant is None else us_of(instant)
