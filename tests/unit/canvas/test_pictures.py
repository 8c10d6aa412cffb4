"""Pictures of a canvas: text, DOT, Mermaid, SVG, and the plain data that programs read."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from backbeat.canvas import chain, chord, group
from backbeat.canvas.canvas_data import canvas_data
from backbeat.canvas.node import calls
from backbeat.canvas.pictures.box import box_of
from backbeat.canvas.pictures.dot import dot_of
from backbeat.canvas.pictures.mermaid import mermaid_of
from backbeat.canvas.pictures.svg import svg_of
from backbeat.canvas.pictures.text import text_of

from support.eager import Fleet


@pytest.fixture
def shop():
    fleet = Fleet()
    fleet.app.task(name="echo")(lambda value: value)

    @fleet.app.task(name='odd "<&>" #1')
    def odd(value):
        raise ValueError(f"<{value}>\nsecond line")

    fleet.echo, fleet.odd = fleet.app.tasks["echo"], odd
    return fleet


def drawn(shop, sig, *, drain=True):
    handle = sig.apply_async()
    if drain:
        shop.drain(limit=5_000)
    run = shop.app.canvas(handle.id)
    (plan,) = run.plans()
    documents = run.documents([plan])
    return plan, documents, box_of(plan.skeleton, documents)


def test_text_has_a_line_for_each_task_with_how_it_went(shop):
    plan, _, box = drawn(shop, chain(shop.echo.s(1), group(shop.echo.s(), shop.odd.s()), shop.echo.s()))
    first, two, bad, last = [call.id for call in calls(plan.skeleton)]

    lines = text_of(box).splitlines()

    assert [line.split("  ")[0].strip() or line.strip().split("  ")[0] for line in lines[:1]] == [
        "chain of 3"
    ]
    assert lines[1].startswith(f"  ✔ echo  {first}  SUCCESS  ")
    assert lines[2].startswith("  group of 2  ")
    assert lines[3].startswith(f"    ✔ echo  {two}  SUCCESS  ")
    assert f'✘ odd "<&>" #1  {bad}  FAILURE' in lines[4]
    assert lines[4].endswith("ValueError: <1> second line")
    assert f"✘ echo  {last}  FAILURE" in lines[5]
    assert lines[5].endswith(f"in {bad}")


def test_what_has_not_begun_waits(shop):
    _, _, box = drawn(shop, chain(shop.echo.s(1), shop.echo.s()), drain=False)

    assert all("·" in line and "PENDING" in line for line in text_of(box).splitlines()[1:])


def test_a_task_in_a_state_of_its_own_runs_and_is_seen_among_many(shop):
    members = [shop.echo.s(n) for n in range(50)]
    handle = group(members).apply_async()
    shop.app.tell_state(handle.results[40].id, "COPYING", {"done": 5})
    run = shop.app.canvas(handle.id)
    (plan,) = run.plans()

    text = text_of(box_of(plan.skeleton, run.documents([plan])))

    assert f"▶ echo  {handle.results[40].id}  COPYING" in text
    assert "… 38 more: 38 PENDING" in text


def test_large_groups_are_folded_and_what_failed_is_seen(shop):
    members = [shop.odd.s(n) if n in (50, 90) else shop.echo.s(n) for n in range(100)]
    _, _, box = drawn(shop, chord(members, shop.echo.s()))

    text = text_of(box)

    assert text.count("✘ odd") == 2
    assert "… 88 more: 88 SUCCESS" in text
    assert len(text.splitlines()) == 1 + 1 + 12 + 1 + 1
    for form in (dot_of(box), mermaid_of(box), svg_of(box)):
        assert "88 more: 88 SUCCESS" in form
        assert len(form) < 10_000


def test_dot_has_boxes_joins_and_edges(shop):
    _, _, box = drawn(shop, chain(group(shop.echo.s(1), shop.odd.s(2)), shop.echo.s()))

    lines = dot_of(box).splitlines()

    assert lines[0] == "digraph canvas {"
    assert lines[-1] == "}"
    assert sum("shape=point" in line for line in lines) == 1
    assert {line.strip() for line in lines if "->" in line} == {"t0 -> j0;", "t1 -> j0;", "j0 -> t2;"}
    assert any(r"odd \"<&>\" #1\nFAILURE" in line for line in lines)


def test_mermaid_says_what_would_end_a_label_in_its_own_way(shop):
    _, _, box = drawn(shop, chain(group(shop.echo.s(1), shop.odd.s(2)), shop.echo.s()))

    text = mermaid_of(box)

    assert text.startswith("flowchart LR\n")
    assert 't1["✘ odd #quot;#lt;&#gt;#quot; #35;1<br/>FAILURE"]' in text
    assert {line.strip() for line in text.splitlines() if "-->" in line} == {
        "t0 --> j0",
        "t1 --> j0",
        "j0 --> t2",
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda s: chain(s.echo.s(1), s.echo.s()),
        lambda s: group(s.echo.s(1), s.odd.s(1)),
        lambda s: chord([chain(s.echo.s(1), s.odd.s()), chord([s.echo.s(1)], s.echo.s())], s.echo.s()),
        lambda s: chain(group(app=s.app), s.echo.s()),
    ],
)
def test_svg_is_well_formed_and_everything_lies_inside(shop, make):
    _, _, box = drawn(shop, make(shop))

    root = ET.fromstring(svg_of(box, "my \x01 <canvas>".replace("\x01", "")))

    width, height = float(root.get("width")), float(root.get("height"))
    rects = [e for e in root.iter() if e.tag.endswith("rect")]
    assert rects
    for rect in rects:
        x, y, w, h = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    assert not [e for e in root.iter() if e.tag.endswith(("script", "style", "image"))]


def test_plain_data_says_what_follows_what(shop):
    plan, documents, _ = drawn(shop, chain(shop.echo.s(1), group(shop.echo.s(), shop.odd.s()), shop.echo.s()))
    first, two, bad, last = [call.id for call in calls(plan.skeleton)]
    group_id = plan.skeleton.steps[1].id

    data = json.loads(json.dumps(canvas_data(plan, documents), default=str))

    assert sorted(map(tuple, data["edges"])) == sorted(
        [(first, two), (first, bad), (two, group_id), (bad, group_id), (group_id, last)]
    )
    assert [(task["id"], task["state"]) for task in data["tasks"]] == [
        (first, "SUCCESS"),
        (two, "SUCCESS"),
        (bad, "FAILURE"),
        (last, "FAILURE"),
    ]
    assert data["tasks"][3]["error"]["node"] == bad
    assert data["tree"]["chain"][1]["group"] == group_id
