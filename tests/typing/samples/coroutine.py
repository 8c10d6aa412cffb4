"""The result of a coroutine task is what it returns, once awaited."""

from typing import assert_type

from backbeat.canvas import App

app = App("typing")


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


fetch.delay(1)  # E: arg-type
assert_type(fetch.delay("x").get(), bytes)
