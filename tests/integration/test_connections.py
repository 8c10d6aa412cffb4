"""An app's connections and a fork: the child has its own, lets those of its parent be, and waits for no lock of theirs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

SECONDS = 60
PROGRAM = """
import os, threading
from backbeat.canvas.connections import Connections
from backbeat.canvas.transaction import Transactions

class Opened:
    def close(self):
        print("closed", flush=True)

def in_child(use):
    pid = os.fork()
    if pid == 0:
        use()
        os._exit(0)
    os.waitpid(pid, 0)

connections, transactions = Connections(Opened, Opened), Transactions(Opened)
with connections.client():
    pass
"""
HELD = """
held = threading.Event()
def hold():
    with connections._lock, transactions._lock:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
"""


@pytest.fixture
def output_of():
    def run(text):
        program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + text]
        # a child that hangs is killed with its parent's group
        process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, process_group=0)
        try:
            return process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise

    return run


def test_a_fork_that_closes_its_app_does_not_close_the_connections_of_its_parent(output_of):
    assert output_of("in_child(connections.close)") == ""
    assert output_of("connections.close()") == "closed\n"


def test_a_fork_while_another_thread_has_the_connections_does_not_wait_for_it(output_of):
    use = "in_child(lambda: print(connections.results is not None, transactions.sender is not None, flush=True))"

    assert output_of(HELD + use) == "True True\n"
