"""Crew: the programs of a run: those that run, those that have ended, and whether that was our doing."""

from __future__ import annotations

from pathlib import Path

from support.processes import Program


class Crew:
    """`all` has those that have ended, too; `expected_ends` are the pids whose end was our doing. `noun` names their files."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self.all: list[Program] = []
        self.expected_ends: set[int] = set()

    @property
    def running(self) -> list[Program]:
        return [program for program in self.all if program.runs]

    def strange_ends(self) -> list[str]:
        """Those that have ended, and it was not our doing."""
        return [
            f"{program}: ended by itself, code {program.wait(1)}"
            for program in self.all
            if not program.runs and program.pid not in self.expected_ends
        ]

    def text(self) -> str:
        """The last lines of each that runs."""
        return "\n".join(
            f"{program}\n" + "\n".join(program.text.splitlines()[-12:]) for program in self.running
        )

    def save(self, directory: Path) -> None:
        """Write all output down, a file a program."""
        directory.mkdir(parents=True, exist_ok=True)
        for program in self.all:
            lines = "".join(f"{at:.3f} {line}\n" for at, line in program.lines)
            (directory / f"{self._noun}-{program.pid}.log").write_text(lines)

    def close(self) -> None:
        """Kill what is left."""
        for program in self.all:
            program.end()
