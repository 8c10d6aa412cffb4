"""Schedules files on disk: includes, files that cannot be read, and the watch for changes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from backbeat.scheduler.files import is_changed, load, stamp
from backbeat.scheduler.schedule import Crontab


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(loaded, folder):
    return [
        f"{Path(each.file).relative_to(folder)}:{each.line}:{each.column}:{each.code}:{each.schedule}"
        for each in loaded.problems
    ]


MAIN = """\
timezone: Europe/Berlin
include: [schedules.d/*.yaml]
defaults: {options: {queue: main, expires: 1m}, cron: "0 0 * * *"}
workflows: {w: {task: from-main}}
schedules:
  main: {task: t}
"""


def test_included_files_inherit_zone_and_defaults_and_share_workflows(tmp_path):
    main = write(tmp_path / "schedules.yaml", MAIN)
    write(tmp_path / "schedules.d/a.yaml", "schedules:\n  a: {workflow: w}\n  b: {workflow: v}\n")
    write(
        tmp_path / "schedules.d/b.yaml",
        "timezone: UTC\ndefaults: {options: {queue: b}}\nworkflows: {v: {task: from-b}}\nschedules:\n  c: {task: t}\n",
    )

    loaded = load(main, {})

    assert loaded.problems == ()
    entries = {entry.name: entry for entry in loaded.entries}
    assert list(entries) == ["main", "a", "b", "c"]
    assert entries["a"].when == Crontab(expression="0 0 * * *", timezone="Europe/Berlin")
    assert entries["c"].when == Crontab(expression="0 0 * * *", timezone="UTC")
    assert entries["a"].what["options"] == {"queue": "main", "expires": 60}
    assert entries["c"].what["options"] == {"queue": "b", "expires": 60}
    assert entries["b"].what["task"] == "from-b"
    assert entries["c"].source == f"{tmp_path / 'schedules.d/b.yaml'}:5"


def test_a_name_counts_across_all_files(tmp_path):
    main = write(tmp_path / "schedules.yaml", MAIN)
    write(tmp_path / "schedules.d/a.yaml", "workflows: {w: {task: x}}\nschedules:\n  main: {task: t}\n")

    loaded = load(main, {})

    assert told(loaded, tmp_path) == ["schedules.d/a.yaml:1:13:E110:", "schedules.d/a.yaml:3:3:E110:main"]
    assert f"(first in {main}:6)" in loaded.problems[1].message


def test_an_include_that_matches_nothing_is_an_error_at_its_pattern(tmp_path):
    main = write(tmp_path / "s.yaml", "include: [a/*.yaml, '']\n")

    assert told(load(main, {}), tmp_path) == ["s.yaml:1:21:E112:"]
    write(main, "include: [a/*.yaml, nope.yaml]\n")
    assert told(load(main, {}), tmp_path) == ["s.yaml:1:11:E191:", "s.yaml:1:21:E191:"]


def test_files_that_include_each_other_are_read_once(tmp_path):
    main = write(tmp_path / "d/a.yaml", "include: '*.yaml'\nschedules: {a: {task: t, every: 1m}}\n")
    write(tmp_path / "d/b.yaml", "include: [a.yaml, ../*/b.yaml]\nschedules: {b: {task: t, every: 1m}}\n")
    write(tmp_path / "d/.#a.yaml", "an editor's lock")

    loaded = load(main, {})

    assert loaded.problems == ()
    assert [entry.name for entry in loaded.entries] == ["a", "b"]


def test_problems_of_all_files_come_together(tmp_path):
    main = write(tmp_path / "s.yaml", "include: d/*.yaml\nschedules: {a: {task: t}}\n")
    write(tmp_path / "d/1.yaml", "schedules:\n  b: {cron: */5}\n")
    write(tmp_path / "d/2.yaml", b"schedules:\n  c\xc3\xa4 \xff: {}\n")

    assert told(load(main, {}), tmp_path) == [
        "d/1.yaml:2:13:E101:",
        "d/2.yaml:2:6:E100:",
        "s.yaml:2:13:E130:a",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("version: 1\n".encode("utf-16"), "not UTF-8: byte 0xff"),
        (b"\xef\xbb\xbfversion: 1\n\xe9", "not UTF-8: byte 0xe9"),
    ],
)
def test_a_file_that_is_not_utf_8_is_told(tmp_path, content, message):
    loaded = load(write(tmp_path / "s.yaml", content), {})

    assert [(each.code, each.message) for each in loaded.problems] == [("E100", message)]


def test_a_file_that_is_missing_a_folder_or_too_large_is_told(tmp_path):
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(100 * 1024 * 1024)

    assert "No such file" in load(tmp_path / "none.yaml", {}).problems[0].message
    assert "directory" in load(tmp_path, {}).problems[0].message
    assert "larger than 64 MB" in load(huge, {}).problems[0].message


def test_a_watch_sees_edits_new_files_and_files_that_go_but_not_a_touch(tmp_path):
    main = write(tmp_path / "s.yaml", "include: d/*.yaml\n")
    extra = write(tmp_path / "d/1.yaml", "schedules: {}\n")
    watched = load(main, {}).watched
    first = stamp(watched)

    assert set(watched) == {main, extra, tmp_path / "d"}
    assert not is_changed(first, stamp(watched, first))

    os.utime(extra, ns=(1, 1))
    touched = stamp(watched, first)
    assert not is_changed(first, touched)
    assert touched != first

    write(extra, "schedules: null\n")
    assert is_changed(first, stamp(watched, first))

    write(tmp_path / "d/2.yaml", "")
    added = stamp(watched, first)
    assert is_changed(first, added)

    extra.unlink()
    gone = stamp(watched, added)
    assert is_changed(added, gone)
    assert not is_changed(gone, stamp(watched, gone))


def test_a_stamp_does_not_read_what_did_not_move(tmp_path):
    path = write(tmp_path / "s.yaml", "a: 1\n")
    (read,) = stamp([path])
    noted = replace(read, digest="what it was said to be")

    assert stamp([path], [noted]) == (noted,)
    write(path, "a: 2\n")
    os.utime(path, ns=(0, read.mtime_ns))
    assert stamp([path], [noted])[0].digest not in {noted.digest, read.digest}
    assert is_changed([read], stamp([path]))
