"""docs/webhooks.md: its examples are so, and it names every setting and event."""

from __future__ import annotations

import json
import re
from pathlib import Path

from backbeat.canvas import App, chain
from backbeat.canvas.known_settings import DEFAULTS
from backbeat.canvas.webhook.signed import signed_headers
from backbeat.scheduler.entry import EVENTS
from backbeat.scheduler.files import parse

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
SENT, RECEIVED = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(YAML,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_schedules_of_the_page_load():
    loaded = parse(YAML, "schedules.yaml", {})

    assert [problem.render() for problem in loaded.problems] == []
    nightly, feed = sorted(loaded.entries, key=lambda entry: entry.name, reverse=True)
    assert nightly.ping_start.endswith("/0d5b-nightly/start")
    assert sorted(nightly.what["options"]) == ["on_done_url", "ping"]
    assert (feed.webhook_on, feed.what["options"]) == (("late", "failed"), {})


def test_what_the_page_sends_can_be_sent():
    app = App("page", broker="memory://", set_as_current=False)
    known = {"add": app.task(name="add")(lambda x, y: x + y), "chain": chain}

    exec(SENT, known)

    assert known["report"].options == {"on_done_url": "https://hooks.example.org/orders"}


def test_what_the_page_receives_is_verified():
    remembered = []
    known = {"remember": lambda *each: remembered.append(each)}
    exec(RECEIVED, known)
    body = json.dumps({"delivery": "d", "event": "done"}).encode()
    headers = signed_headers("the secret of our webhooks", "d", body, __import__("time").time())

    assert known["receive"](body, headers) == 200
    assert known["receive"](body + b" ", headers) == 401
    assert remembered == [("d", "done")]


def test_the_page_names_every_setting_and_every_event():
    assert set(re.findall(r"^\| `(webhook_\w+)` \|", PAGE, re.MULTILINE)) == {
        name for name in DEFAULTS if name.startswith("webhook_")
    }
    assert set(re.findall(r"^\| `(\w+)` \| (?:it|fire)", PAGE, re.MULTILINE)) == set(EVENTS)
