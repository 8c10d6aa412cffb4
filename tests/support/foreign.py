"""Messages of programs that are not ours."""

from __future__ import annotations

import base64
import json


def put(fleet, queue, *, id="t1", task="one", args=(), kwargs=None, body=None, properties=None, **headers):
    """A message as another program might write it."""
    content = json.dumps(body or [list(args), kwargs or {}, {}])
    text = json.dumps(
        {
            "body": base64.b64encode(content.encode()).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"id": id, "task": task, **headers},
            "properties": {"body_encoding": "base64", "delivery_info": {}, **(properties or {})},
        }
    )
    fleet.store.state.mail.put(queue, text)
