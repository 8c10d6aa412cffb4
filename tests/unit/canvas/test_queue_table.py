"""The table of queues: what task_queues may say, and where exchanges lead."""

from __future__ import annotations

import itertools
import re

import pytest
from backbeat.canvas.binding import Binding, topic_fits
from backbeat.canvas.config import Config
from backbeat.canvas.declared_queue import read_queues
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.queue_table import queue_table
from backbeat.canvas.worker.broker_info import queue_info
from hypothesis import given
from hypothesis import strategies as st
from kombu import Exchange, Queue, binding
from kombu.common import Broadcast

MEDIA = Exchange("media", type="topic")


def table(queues=None, **settings):
    return queue_table(Config({"task_queues": queues, **settings}))


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "b.a", ""]),
        ("a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]),
        ("*.b", ["a.b"], ["b", "a.a.b"]),
        ("a.#", ["a", "a.b", "a.b.c"], ["b", "b.a", ""]),
        ("#", ["", "a", "a.b"], []),
        ("#.c", ["c", "a.c", "a.b.c"], ["c.a", ""]),
        ("a.#.c", ["a.c", "a.b.c", "a.b.b.c"], ["a", "c", "a.c.b"]),
        ("*.#", ["a", "a.b"], [""]),
        ("#.#", ["", "a"], []),
    ],
)
def test_a_star_is_a_word_and_a_hash_any_number_of_them(pattern, fitting, others):
    assert [key for key in fitting if not topic_fits(pattern, key)] == []
    assert [key for key in others if topic_fits(pattern, key)] == []


def naive(pattern, words):
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(naive(pattern[1:], words[first:]) for first in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and naive(pattern[1:], words[1:])


@given(st.lists(st.sampled_from("ab*#"), min_size=1, max_size=6), st.lists(st.sampled_from("ab"), max_size=6))
def test_patterns_fit_as_trying_out_says(pattern, words):
    assert topic_fits(".".join(pattern), ".".join(words)) == naive(pattern, words)


def test_a_pattern_of_many_hashes_is_looked_at_in_no_time():
    assert not topic_fits(".".join(["#", "a"] * 50), ".".join("b" * 200))


def test_queues_of_kombu_s_are_read_as_they_are():
    arguments = {"x-queue-type": "quorum"}
    (video, image, plain, quorum) = read_queues(
        "task_queues",
        [
            Queue("video", MEDIA, routing_key="media.video", max_priority=5, message_ttl=1.5, expires=2),
            Queue("image", bindings=[binding(MEDIA, "media.image"), binding(MEDIA, "media.#.thumb")]),
            Queue("plain"),
            Queue("quorum", Exchange("quorum"), "quorum", queue_arguments=arguments, durable=True),
        ],
        Binding("usual", "direct", "usual"),
    )

    assert video.bindings == (Binding("media", "topic", "media.video"),)
    assert video.arguments == {"x-max-priority": 5, "x-message-ttl": 1500, "x-expires": 2000}
    assert image.bindings == (
        Binding("media", "topic", "media.#.thumb"),
        Binding("media", "topic", "media.image"),
    )
    assert plain.bindings == (Binding("usual", "direct", "usual"),)
    assert quorum.arguments == arguments


def test_a_broadcast_of_kombu_s_is_known_by_its_name():
    (news,) = read_queues("task_queues", [Broadcast("news")])

    assert (news.name, news.broadcast, news.bindings) == ("news", True, ())


def test_a_map_and_a_list_of_names_declare_queues_too():
    found = table(
        {
            "video": {"exchange": "media", "exchange_type": "topic", "routing_key": "media.video"},
            "slow": {"binding_key": "slow.key", "queue_arguments": {"x-max-length": 3}},
            "plain": {},
        }
    )

    assert found.bound("media", "media.video") == ["video"]
    assert found.bound("slow", "slow.key") == ["slow"]
    assert found.get("slow").arguments == {"x-max-length": 3}
    assert found.bound("plain", "plain") == ["plain"]
    assert [queue.name for queue in table(["a", "b"])] == ["a", "b"]


def test_an_exchange_leads_to_queues_as_its_type_says():
    found = table(
        [
            Queue("video", MEDIA, routing_key="media.video"),
            Queue("all", MEDIA, routing_key="media.#"),
            Queue("one", Exchange("direct", "direct"), routing_key="k"),
            Queue("two", Exchange("direct", "direct"), routing_key="k"),
            Queue("left", Exchange("out", "fanout")),
            Queue("right", Exchange("out", "fanout"), routing_key="x"),
        ]
    )

    assert found.bound("media", "media.video") == ["video", "all"]
    assert found.bound("media", "media.x") == ["all"]
    assert found.bound("media", "x") == []
    assert found.bound("direct", "k") == ["one", "two"]
    assert found.bound("out", "whatever") == ["left", "right"]
    assert [found.type_of(name) for name in ("media", "direct", "out", "none")] == [
        "topic",
        "direct",
        "fanout",
        None,
    ]


def test_the_default_queue_is_bound_as_its_settings_say():
    found = table(
        task_default_queue="default",
        task_default_exchange="work",
        task_default_exchange_type="topic",
        task_default_routing_key="work.#",
        task_default_queue_type="quorum",
    )

    assert found.bound("work", "work.now") == ["default"]
    assert found.get("default").arguments == {"x-queue-type": "quorum"}


def test_the_highest_priority_is_that_of_all_queues_that_say_no_other_and_of_no_quorum_queue():
    found = table(
        [
            Queue("own", max_priority=3),
            Queue("usual"),
            Queue("q", queue_arguments={"x-queue-type": "quorum"}),
        ],
        task_queue_max_priority=9,
    )

    assert found.queue("own").arguments == {"x-max-priority": 3}
    assert found.queue("usual").arguments == {"x-max-priority": 9}
    assert found.queue("q").arguments == {"x-queue-type": "quorum"}
    assert found.queue("missing").arguments == {"x-max-priority": 9}


def test_queues_that_are_missing_are_of_the_type_for_them():
    assert table(task_create_missing_queue_type="quorum").queue("new").arguments == {"x-queue-type": "quorum"}
    assert table().queue("new").arguments == {}


def test_without_missing_queues_only_declared_ones_are_there():
    found = table(["a", "b"], task_create_missing_queues=False)

    found.check("a")
    with pytest.raises(ImproperlyConfigured, match=re.escape("queue 'c' is not among task_queues (a, b)")):
        found.check("c")


def test_an_exchange_has_one_type():
    queues = [Queue("a", MEDIA, "x"), Queue("b", Exchange("media"), "y")]
    for order in itertools.permutations(queues):
        with pytest.raises(ImproperlyConfigured, match=r"exchange .media. is .* it has one type"):
            table(order)


def test_remote_control_tells_of_a_queue_as_it_was_declared():
    found = table([Queue("video", MEDIA, routing_key="media.#", max_priority=5, message_ttl=1.5)])

    told, missing = queue_info(found.queue("video")), queue_info(found.queue("missing"))

    assert (told["exchange"]["name"], told["exchange"]["type"], told["routing_key"]) == (
        "media",
        "topic",
        "media.#",
    )
    assert (told["max_priority"], told["message_ttl"], told["expires"]) == (5, 1.5, None)
    assert (missing["exchange"]["name"], missing["exchange"]["type"], missing["routing_key"]) == (
        "missing",
        "direct",
        "missing",
    )
    assert missing["queue_arguments"] is None
