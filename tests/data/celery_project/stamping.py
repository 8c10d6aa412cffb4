"""Stamps: marks of a canvas that its tasks and what they send carry along."""

from uuid import NAMESPACE_URL, uuid5

from celery import chain, group
from celery.canvas import StampingVisitor

from celery_project.arithmetic import add
from celery_project.celery import app


@app.task(bind=True)
def stamps(self, *args):
    return [sorted(self.request.stamped_headers or []), dict(self.request.stamps or {})]


class Tenant(StampingVisitor):
    def on_signature(self, sig, **headers):
        return {"tenant": str(uuid5(NAMESPACE_URL, "acme")), "stamped_headers": ["tenant"]}


def main():
    """By a visitor, and by keyword."""
    visited = chain(add.s(1, 1), stamps.s())
    visited.stamp(visitor=Tenant())
    marked = stamps.s()
    marked.stamp(order=["7", "8"])
    members = group(stamps.s(), stamps.s())
    members.stamp(batch="b")
    return {
        "visitor": visited.delay().get(timeout=20),
        "keyword": marked.delay().get(timeout=20),
        "group": members.delay().get(timeout=20),
    }
