"""`|`: associative in strict mode, and cell by cell as Celery 5.7 does it in Celery's mode."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
from backbeat.canvas import App, Signature, chain, chord, group
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.node import Call, Chain, Group

from support.eager import Fleet

strict = App("strict", broker="memory://", set_as_current=False)
celery = App("celery", broker="memory://", set_as_current=False, canvas_mode="celery")

KINDS = {
    "t": lambda t: t("1"),
    "c": lambda t: chain(t("1"), t("2")),
    "cg": lambda t: chain(t("1"), group(t("2"), t("3"))),
    "ch": lambda t: chain(t("1"), chord([t("2"), t("3")], t("4"))),
    "g": lambda t: group(t("1"), t("2")),
    "g1": lambda t: group(t("1")),
    "g0": lambda _: group(),
    "h": lambda t: chord([t("1"), t("2")], t("3")),
    "c0": lambda _: chain(),
}
TABLE = json.loads(
    (Path(__file__).parents[2] / "data" / "pipes-celery-5.7.0.json").read_text(encoding="utf-8")
)


def operand(kind, prefix, app):
    sig = KINDS[kind](lambda number: Signature(prefix + number, app=app))
    sig._app = app
    return sig


def form(sig):
    """The tree as nested lists."""
    match sig["subtask_type"]:
        case "chain" | "group" as kind:
            return [kind, *map(form, sig["kwargs"]["tasks"])]
        case "chord":
            return ["chord", form(sig["kwargs"]["header"]), form(sig["kwargs"]["body"])]
    return sig["task"]


@pytest.mark.parametrize("cell", TABLE)
def test_k23_celerys_mode_builds_the_trees_that_celery_builds(cell):
    left, right = cell.split(" | ")
    one, two = operand(left, "l", celery), operand(right, "r", celery)
    before = json.dumps([one, two])

    assert form(one | two) == TABLE[cell]
    assert json.dumps([one, two]) == before


def test_the_table_has_every_pair():
    assert set(TABLE) == {f"{left} | {right}" for left, right in product(KINDS, KINDS)}


# --- strict mode ---------------------------------------------------------------------------------------------------------------


def steps_of(sig):
    """The steps as nested names, each group a list; none for what has no steps."""
    if isinstance(sig, chain) and not sig.tasks:
        return ()
    node = names(sig.to_node())
    return node if isinstance(node, tuple) else (node,)


def names(node):
    match node:
        case Call():
            return node.task
        case Chain():
            return tuple(map(names, node.steps))
        case Group():
            return list(map(names, node.members))


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("third", KINDS)
def test_k23_composing_is_associative(first, second, third):
    one, two, three = (
        operand(kind, str(place), strict) for place, kind in enumerate((first, second, third), 1)
    )

    left, right = (one | two) | three, one | (two | three)

    assert steps_of(left) == steps_of(right) == steps_of(one) + steps_of(two) + steps_of(three)


class Shop(Fleet):
    """Tasks that say what they were given: `t("a")` with 1 is ["a", 1]."""

    def __init__(self, **settings):
        super().__init__(**settings)

        @self.app.task(name="told")
        def told(*args):
            return list(args)

    def told(self, name):
        return self.app.signature("told", kwargs={}, args=(name,))

    def value(self, sig):
        handle = sig.apply_async()
        self.drain()
        return handle.get(timeout=0)


@pytest.mark.parametrize(("mode", "value"), [("strict", [[[1, "a"]], "b"]), ("celery", [[1, "a"], "b"])])
def test_k23_a_group_of_one_gives_a_list_but_in_celerys_mode(mode, value):
    shop = Shop(canvas_mode=mode)
    told = shop.told

    @shop.app.task(name="one")
    def one():
        return 1

    for sig in (
        one.s() | group(told("a"), app=shop.app) | told("b"),
        chain(one.s(), group(told("a")), told("b")),
    ):
        assert shop.value(sig) == value


def test_k23_an_empty_group_gives_an_empty_list_but_is_no_step_in_celerys_mode():
    shops = {mode: Shop(canvas_mode=mode) for mode in ("strict", "celery")}
    values = {
        mode: shop.value(chain(shop.told("a"), group(app=shop.app), shop.told("b")))
        for mode, shop in shops.items()
    }

    assert values == {"strict": [[], "b"], "celery": [["a"], "b"]}


def test_a_link_of_a_group_is_of_its_first_member_in_celerys_mode_alone():
    sig = group(celery.signature("a"), celery.signature("b"))
    sig.link(celery.signature("l"))

    first, second = sig.to_node().members
    assert [link.task for link in first.link] == ["l"]
    assert first.link[0].immutable
    assert not second.link
    with pytest.raises(TypeError, match="chord"):
        group(strict.signature("a")).link(strict.signature("l"))


def test_a_chord_whose_body_is_an_empty_chain_is_refused_when_it_is_sent():
    sig = group(celery.signature("a")) | operand("c0", "", celery)

    assert isinstance(sig, chord)
    with pytest.raises(ImproperlyConfigured, match="no steps"):
        sig.apply_async()


def test_the_mode_must_be_one_that_exists():
    with pytest.raises(ImproperlyConfigured, match="'strict' or 'celery'"):
        App("x", broker="memory://", set_as_current=False, canvas_mode="lenient")
