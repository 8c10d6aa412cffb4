"""`|` makes a signature of whatever stands at its sides."""

from typing import assert_type

from backbeat.canvas import App, Signature, chain, group

app = App("typing")


@app.task
def add(x: int, y: int) -> int:
    return x + y


assert_type(add.s(1, 2) | add.s(3), Signature)
assert_type(add.s(1, 2) | group(add.s(1), add.s(2)), Signature)
assert_type(group(add.s(1, 1), add.s(2, 2)) | add.si(0, 0), Signature)
assert_type(chain(add.s(1, 1), add.s(2)) | group(add.s(1), add.s(2)) | add.si(0, 0), Signature)
