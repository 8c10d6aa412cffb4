"""What is called when a task succeeds."""

from celery import chain, chord, group

from celery_project.arithmetic import add, xsum
from celery_project.celery import app
from celery_project.notes import note, noted


@app.task
def heard(value, about):
    note(about, value)
    return value


def main():
    """One link, several, links of links, links of composites."""
    linked = add.apply_async((2, 2), link=add.s(8))
    several = add.apply_async((2, 2), link=[heard.s("several"), add.s(1)])
    several.get(timeout=20)
    deep = add.s(1, 1)
    deep.link(add.s(2) | heard.s("deep"))
    deep.delay()
    steps = chain(add.s(1, 1), add.s(2))
    steps.link(heard.s("chain"))
    steps.delay()
    joined = chord([add.s(1, 1), add.s(2, 2)], xsum.s())
    joined.link(heard.s("chord"))
    joined.delay()
    immutable = add.s(1, 1)
    immutable.link(heard.si("nothing", "immutable"))
    immutable.delay()
    twice = add.s(1, 1)
    twice.link(heard.s("twice"))
    twice.link(heard.s("twice"))
    group(twice, add.s(0, 0)).delay().get(timeout=20)
    return {
        "linked": [linked.get(timeout=20), [child.get(timeout=20) for child in linked.children]],
        "several": noted("several"),
        "children": sorted(child.get(timeout=20) for child in several.children[0])
        if len(several.children) == 1
        else sorted(child.get(timeout=20) for child in several.children),
        "deep": noted("deep"),
        "chain": noted("chain"),
        "chord": noted("chord"),
        "immutable": noted("immutable"),
        "twice": noted("twice"),
    }
