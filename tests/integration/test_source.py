"""FilesSource: what a beat gets of its schedules files, and when."""

from __future__ import annotations

import os

import pytest
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.source import FilesSource

ENTRY = "schedules:\n  {name}: {{task: app.t, every: {every}}}\n"


def write(path, name="a", every="1h"):
    path.write_text(ENTRY.format(name=name, every=every))
    return path


def test_who_names_no_file_has_nothing_to_say_about_the_schedules():
    source = FilesSource([])

    source.read()

    assert source() is None


def test_entries_are_given_once_and_again_when_asked(tmp_path):
    source = FilesSource([write(tmp_path / "a.yaml")])
    source.read()

    assert [entry.name for entry in source()] == ["a"]
    assert source() is None
    source.ask()
    assert [entry.name for entry in source()] == ["a"]


def test_a_name_in_two_files_is_an_error_that_names_both_places(tmp_path):
    files = [write(tmp_path / "a.yaml"), write(tmp_path / "b.yaml")]

    with pytest.raises(ScheduleError) as caught:
        FilesSource(files).read()

    assert f"{files[1]}:2: error E110: a: duplicate schedule (first in {files[0]}:2)" in str(caught.value)


def test_a_name_that_comes_twice_later_keeps_the_running_entries(tmp_path):
    told = []
    files = [write(tmp_path / "a.yaml"), write(tmp_path / "b.yaml", name="b")]
    source = FilesSource(files, refused=told.extend)
    source.read()
    source()

    write(files[1], name="a", every="2h")
    source.ask()

    assert source() is None
    assert "E110" in told[0]


def test_an_edit_while_the_file_is_read_is_seen_as_one(tmp_path, monkeypatch):
    from backbeat.scheduler import source as module

    path = write(tmp_path / "a.yaml")
    original = module.load

    def load_and_edit(file, environ):
        loaded = original(file, environ)
        write(path, name="edited", every="30m")
        os.utime(path, ns=(1, 1))
        monkeypatch.setattr(module, "load", original)
        return loaded

    monkeypatch.setattr(module, "load", load_and_edit)
    source = FilesSource([path])
    source.read()
    assert [entry.name for entry in source()] == ["a"]

    source._look_at = 0.0

    assert [entry.name for entry in source()] == ["edited"]
