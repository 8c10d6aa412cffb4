"""What only reads leaves a connection to PostgreSQL as it was: with the statements that it has prepared."""

from __future__ import annotations

from backbeat.canvas.results.sql import SqlResults
from backbeat.canvas.sql.engine import open_engine, reading
from sqlalchemy import text

READS = 8
"""psycopg prepares a statement when it is executed for the sixth time."""


def test_statements_stay_prepared_from_one_read_to_the_next(postgres_url):
    engine = open_engine(postgres_url)
    results = SqlResults(engine)

    for _ in range(READS):
        results.get(["t1"])
    with reading(engine) as connection:
        prepared = connection.execute(text("SELECT statement FROM pg_prepared_statements")).scalars().all()

    assert any("bb_result" in statement for statement in prepared)
    results.close()
    engine.dispose()
