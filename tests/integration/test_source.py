"""FilesSource: what a beat gets of its schedules files, and when."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest
from backbeat.scheduler.errors import ScheduleError
from backbeat.scheduler.files import is_touched, stamp
from backbeat.scheduler.source import FilesSource, in_thread

from support.processes import wait_until

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

    assert f'{files[1]}:2:3: error E110: a: duplicate schedule "a" (first in {files[0]}:2)' in str(
        caught.value
    )


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
    original = module.load_all

    def load_and_edit(files, environ):
        loaded = original(files, environ)
        write(path, name="edited", every="30m")
        os.utime(path, ns=(1, 1))
        monkeypatch.setattr(module, "load_all", original)
        return loaded

    monkeypatch.setattr(module, "load_all", load_and_edit)
    source = FilesSource([path])
    source.read()
    assert [entry.name for entry in source()] == ["a"]

    assert [entry.name for entry in source()] == ["edited"]


def set_time(path, nanoseconds):
    os.utime(path, ns=(nanoseconds, nanoseconds))


def test_the_serial_is_that_of_the_file_or_the_newest_modification_time(tmp_path):
    files = [write(tmp_path / "a.yaml"), write(tmp_path / "b.yaml", name="b")]
    set_time(files[0], 5_000)
    set_time(files[1], 7_000)
    source = FilesSource(files)
    assert source.serial == 0

    source.read()
    assert source.serial == 7_000
    source()

    files[0].write_text("serial: 12\n" + ENTRY.format(name="a", every="2h"))
    source.ask()
    source()
    assert source.serial == 12


def test_a_file_that_is_refused_leaves_the_serial_of_what_runs(tmp_path):
    path = write(tmp_path / "a.yaml")
    path.write_text("serial: 3\n" + ENTRY.format(name="a", every="2h"))
    source = FilesSource([path])
    source.read()
    source()

    path.write_text("serial: 4\n" + ENTRY.format(name="a", every="2x"))
    source.ask()

    assert source() is None
    assert source.serial == 3


def test_a_serial_in_an_included_file_is_an_error(tmp_path):
    main = tmp_path / "a.yaml"
    main.write_text("include: b.yaml\n")
    (tmp_path / "b.yaml").write_text("serial: 3\n")

    with pytest.raises(ScheduleError, match="E121: serial belongs into the file that includes this one"):
        FilesSource([main]).read()


def test_asking_who_names_no_file_changes_nothing():
    source = FilesSource([])
    source.read()

    source.ask()

    assert source() is None


def test_an_edit_that_keeps_size_and_modification_time_is_seen(tmp_path):
    path = write(tmp_path / "a.yaml", every="1h")
    times = path.stat()
    source = FilesSource([path])
    source.read()
    source()

    write(path, every="2h")
    set_time(path, times.st_mtime_ns)

    assert [entry.name for entry in source()] == ["a"]


def test_who_looks_at_files_that_nobody_touched_reads_none_of_them(tmp_path):
    jobs = []
    source = FilesSource([write(tmp_path / "a.yaml")], start=jobs.append)
    source.read()
    source()

    assert source() is None
    assert jobs == []
    source.ask()
    assert source() is None
    assert len(jobs) == 1


def test_a_file_that_cannot_be_read_is_not_tried_again_until_somebody_touches_it():
    unreadable = Path("/proc/self/mem")  # root may read everything else
    seen = stamp([unreadable])

    assert seen[0].digest == ""
    assert not is_touched(seen)


def test_a_file_that_could_not_be_read_for_a_moment_is_read_again(tmp_path, monkeypatch):
    from backbeat.scheduler import source as module

    monkeypatch.setattr(module, "UNREADABLE_SECONDS", 0.0)
    path, refused = write(tmp_path / "a.yaml"), []
    source = FilesSource([path], refused=refused.extend)
    source.read()
    source()

    write(path, every="2h")
    used = resource.getrlimit(resource.RLIMIT_NOFILE)
    path.stat()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, used[1]))  # no descriptor is left
        assert source() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, used)

    assert "cannot be read" in refused[0]
    assert [entry.name for entry in source()] == ["a"]
    assert source() is None


def test_a_job_that_cannot_be_started_is_started_at_the_next_look(tmp_path):
    started = []

    def start(job):
        started.append(job)
        if len(started) == 1:
            raise RuntimeError("can't start new thread")
        job()

    source = FilesSource([write(tmp_path / "a.yaml")], start=start)
    source.read()
    source()
    source.ask()

    with pytest.raises(RuntimeError):
        source()

    assert [entry.name for entry in source()] == ["a"]


def test_who_waits_for_a_reading_is_told_when_it_is_done(tmp_path):
    done, looked = threading.Event(), threading.Event()

    def start(job):
        in_thread(lambda: looked.wait(10) and job())

    source = FilesSource([write(tmp_path / "a.yaml")], start=start, ready=done.set)
    source.read()
    looked.set()
    source()
    looked.clear()

    write(tmp_path / "a.yaml", every="2h")

    assert source() is None
    looked.set()
    assert done.wait(10)
    assert [entry.name for entry in source()] == ["a"]


def several(path, number, first_line="", **periods):
    """A file of entries e0, e1, ...; `periods` are those of some of them."""
    names = [f"e{k}" for k in range(number)]
    lines = [f"  {name}: {{task: app.t, every: {periods.get(name, '1h')}}}\n" for name in names]
    path.write_text(f"{first_line}schedules:\n{''.join(lines)}")
    return path


def test_what_was_not_edited_comes_back_as_the_same_object(tmp_path):
    path = several(tmp_path / "a.yaml", 5)
    source = FilesSource([path])
    source.read()
    before = {entry.name: entry for entry in source()}

    several(path, 6, e1="2h")
    after = {entry.name: entry for entry in source()}

    assert {name for name in after if after[name] is not before.get(name)} == {"e1", "e5"}
    source.ask()
    assert all(entry is not after[entry.name] for entry in source()), (
        "who asks wants all of them applied again"
    )


def test_entries_that_only_stand_on_another_line_come_back_as_new_objects(tmp_path):
    path = several(tmp_path / "a.yaml", 10)
    source = FilesSource([path])
    source.read()
    before = source()

    several(path, 10, "# a comment\n", e3="2h")
    after = source()

    assert all(old is not new for old, new in zip(before, after, strict=True))
    assert [entry.source for entry in after] == [f"{path}:{line + 3}" for line in range(10)]


def test_a_file_is_read_in_a_thread_and_nobody_waits_for_it(tmp_path, monkeypatch):
    from backbeat.scheduler import source as module

    original, begun, go_on = module.load_all, threading.Event(), threading.Event()

    def slowly(files, environ):
        begun.set()
        assert go_on.wait(10)
        return original(files, environ)

    source = FilesSource([several(tmp_path / "a.yaml", 1)], start=in_thread)
    source.read()
    source()
    monkeypatch.setattr(module, "load_all", slowly)
    serial = source.serial

    several(tmp_path / "a.yaml", 2)

    assert source() is None
    assert begun.wait(10)
    assert source() is None
    assert source.serial == serial, "it is that of what was given"
    go_on.set()
    assert wait_until(source, what="the entries") is not None
    assert source.serial > serial


def test_a_reading_that_fails_is_raised_once_and_tried_again(tmp_path, monkeypatch):
    from backbeat.scheduler import source as module

    source = FilesSource([several(tmp_path / "a.yaml", 1)], start=in_thread)
    source.read()
    source()
    monkeypatch.setattr(module, "load_all", lambda *_: 1 / 0)
    source.ask()

    with pytest.raises(ZeroDivisionError):
        wait_until(source, what="the fault")

    monkeypatch.undo()
    source.ask()
    assert len(wait_until(source, what="the entries")) == 1
