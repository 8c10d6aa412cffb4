"""A process that has imported the real Celery, and runs scripts in forks of itself: each is as fresh as a program of its own, and costs no import."""

from __future__ import annotations

import atexit
import json
import select
import subprocess
import tempfile
from functools import cache
from pathlib import Path

INSIDE = """
import json, os, sys, traceback
import celery, celery.app.control, celery.bin.celery, celery.result, kombu.transport.pyamqp, kombu.transport.redis

def run(order):
    output = os.open(order["output"], os.O_WRONLY)
    os.dup2(output, 1), os.dup2(output, 2)
    sys.argv, code = ["-c", *order["arguments"]], 0
    try:
        exec(compile(order["script"], "<script>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        run(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
COMMAND_LINE = "from celery.bin.celery import main; main()"
"""The script that is Celery's command line."""


class CeleryZygote:
    """Over the interpreter `python`, which has a Celery."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), "-c", INSIDE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
        )
        atexit.register(self.close)

    def run(self, script: str, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a script to its end; its output has what it wrote to standard error, too."""
        with tempfile.NamedTemporaryFile("r") as output:
            order = {"script": script, "arguments": arguments, "output": output.name}
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], timeout)[0]:
                raise AssertionError(f"the script did not end within {timeout:.0f} s:\n{output.read()}")
            code = int(self._process.stdout.readline())
            return subprocess.CompletedProcess([*arguments], code, output.read(), "")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(30)


@cache
def celery_zygote(python: Path) -> CeleryZygote:
    """The one of this interpreter."""
    return CeleryZygote(python)
