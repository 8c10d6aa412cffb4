"""backbeat.canvas.testing: an app that sends into memory, workers that run when a test says so, and a clock that tests move.

    with in_memory(app) as world:
        order.ship(7)                           # the code under test, which calls ship_order.delay(7)
        world.assert_sent("shop.ship", args=[7])
        world.drain()
        world.advance("7d")

It is for users' tests, with any runner; docs/testing.md has the fixtures for pytest and the beat in virtual time. Nothing else imports it.
"""

from .sent import Sent
from .world import Stuck, World, in_memory

__all__ = ["Sent", "Stuck", "World", "in_memory"]
