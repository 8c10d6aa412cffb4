"""URLs of databases, errors that pass, and the statements that MySQL and MariaDB get."""

from __future__ import annotations

import re

import pytest
from backbeat.canvas.errors import EncodeError, ImproperlyConfigured, Unavailable
from backbeat.canvas.places import Kind, kind_of
from backbeat.canvas.sql.array import array_text
from backbeat.canvas.sql.bounded_mysql import BoundedConnection, refuse_old
from backbeat.canvas.sql.dialect import dialect_of
from backbeat.canvas.sql.engine import is_passing, open_engine, sql_url, unavailable
from backbeat.canvas.sql.ready import ReadyMessages
from backbeat.canvas.sql.tables import chain_table, join_table, message_table, metadata, part_table, run_table
from pymysql.cursors import RE_INSERT_VALUES
from pymysql.err import DataError as DriverDataError
from pymysql.err import OperationalError as DriverError
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.mysql.pymysql import dialect as mysql_dialect
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.schema import CreateColumn, CreateTable

FORMS = [
    "mysql://u:p@h:1/d",
    "mariadb://u:p@h:1/d",
    "mysql+pymysql://u:p@h:1/d",
    "mariadb+pymysql://u:p@h:1/d",
    "db+mysql://u:p@h:1/d",
    "db+mysql+pymysql://u:p@h:1/d",
    "sqla+mysql://u:p@h:1/d",
    "sqla+mysql+pymysql://u:p@h:1/d",
    "sqlalchemy+mysql://u:p@h:1/d",
    "db+mariadb://u:p@h:1/d",
]


def server(*, mariadb):
    """The dialect of SQLAlchemy's as it is once it has met a server."""
    found = mysql_dialect()
    found.is_mariadb = mariadb
    found.server_version_info = (10, 11, 6) if mariadb else (8, 0, 36)
    return found


SERVERS = [server(mariadb=True), server(mariadb=False)]
both = pytest.mark.parametrize("dialect", SERVERS, ids=["MariaDB", "MySQL"])


def ours():
    return dialect_of(create_engine("mysql+pymysql://h/d"))


# --- URLs ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", FORMS)
def test_each_form_of_a_url_leads_to_the_same_place_by_the_same_driver(url):
    assert kind_of(url) is Kind.SQL
    assert sql_url(url) == sql_url("mysql+pymysql://u:p@h:1/d")


def test_another_driver_is_refused_with_what_to_write():
    with pytest.raises(ImproperlyConfigured, match=r"mysql\+mysqldb:// is another driver.* Write mysql://"):
        open_engine("db+mysql+mysqldb://u@h/d")


def test_a_url_without_a_database_is_refused_and_its_password_not_told():
    with pytest.raises(ImproperlyConfigured, match="names no database") as refused:
        open_engine("mysql://u:hidden@h")

    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("product", "version"), [("MariaDB", (10, 6, 0)), ("MariaDB", (11, 4)), ("MySQL", (8, 0, 36))]
)
def test_servers_that_can_skip_locked_rows_are_taken(product, version):
    refuse_old(product, version)


@pytest.mark.parametrize(
    ("product", "version"), [("MariaDB", (10, 5, 9)), ("MySQL", (5, 7, 44)), ("MySQL", (8, 0, 16))]
)
def test_older_servers_are_refused_with_what_is_needed(product, version):
    with pytest.raises(ImproperlyConfigured, match=r"is too old to carry messages\. Use"):
        refuse_old(product, version)


# --- errors ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "passing"), [(1205, True), (1213, True), (1020, True), (2013, False), (1146, False)]
)
def test_deadlocks_and_lock_waits_pass(number, passing):
    assert is_passing(OperationalError("UPDATE", {}, DriverError(number, "so it is said"))) is passing


def test_an_error_is_told_by_its_text_alone():
    with pytest.raises(Unavailable) as told, unavailable():
        raise OperationalError("SELECT 1", {}, DriverError(2003, "Can't connect to MySQL server on 'h'"))

    assert str(told.value) == "the database cannot be reached: Can't connect to MySQL server on 'h'"


def unconnected():
    connection = BoundedConnection(host="h", defer_connect=True)
    connection.packet_bytes = 1_000
    return connection


@pytest.mark.parametrize(
    ("statement", "reason"), [("x" * 1_000, "max_allowed_packet is 1000"), ("'\ud800'", "no UTF-8")]
)
def test_what_the_server_would_cut_off_is_refused_before_it_is_sent(statement, reason):
    with pytest.raises(DriverDataError, match=reason) as refused:
        unconnected().query(statement)
    with pytest.raises(EncodeError, match=f"the database refuses it: .*{reason}"), unavailable():
        raise DataError("INSERT", {}, refused.value)


# --- statements ------------------------------------------------------------------------------------------------------------------


@both
def test_what_is_there_is_passed_over_and_no_other_error_is_hidden(dialect):
    statement = str(ours().missing(part_table).compile(dialect=dialect))

    assert statement.endswith("ON DUPLICATE KEY UPDATE join_id = bb_part.join_id")
    assert "IGNORE" not in statement


@both
def test_what_is_there_is_overwritten_in_these_columns_and_no_others(dialect):
    statement = str(ours().over(run_table, ("task_id", "outcome", "lost")).compile(dialect=dialect))

    _, _, written = statement.partition("ON DUPLICATE KEY UPDATE")
    assert [each.split(" = ")[0].strip() for each in written.split(",")] == ["outcome", "lost"]


@both
def test_what_decides_whether_a_row_stands_is_overwritten_last(dialect):
    """MySQL writes column by column, and each sees those before it."""
    table = run_table.c
    over = ours().over_unless(
        table.task_id, table.outcome, frozenset({"a", "b"}), ("task_id", "outcome", "lost")
    )

    _, _, written = str(over.compile(dialect=dialect)).partition("ON DUPLICATE KEY UPDATE")

    assert re.findall(r"(\w+) = if\(", written) == ["lost", "outcome"]


@both
@pytest.mark.parametrize("table", [run_table, part_table])
def test_rows_that_are_written_together_are_sent_together(dialect, table):
    """The driver sends those of an INSERT as one statement if it can read it."""
    names = table.c.keys()

    for statement in (ours().missing(table), ours().over(table, tuple(names))):
        assert RE_INSERT_VALUES.match(str(statement.compile(dialect=dialect)))


@pytest.mark.parametrize(
    ("values", "array"),
    [
        ([], "{}"),
        (["a", "", "NULL", "a,b"], '{"a","","NULL","a,b"}'),
        (['"', "\\", "{}", None], '{"\\"","\\\\","{}",NULL}'),
        ([1, -2, None, True, False], "{1,-2,NULL,True,False}"),
        ([1, -2], "{1,-2}"),
        ([True, False], "{True,False}"),
        ([None, None], "{NULL,NULL}"),
        (["a\0", "b"], '{"a\0","b"}'),
    ],
)
def test_values_are_one_array_as_postgresql_writes_it(values, array):
    assert array_text(values) == array


@both
def test_messages_are_found_in_the_order_of_the_index_and_locked_without_waiting(dialect):
    query = ReadyMessages("a", 7, 3).query(message_table.c.seq)

    assert str(query.compile(dialect=dialect)).endswith("FOR UPDATE SKIP LOCKED")
    assert "ORDER BY bb_message.visible_us, bb_message.seq" in str(query.compile(dialect=dialect))


@both
def test_texts_are_compared_byte_by_byte_and_end_nowhere(dialect):
    collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
    for table in metadata.sorted_tables:
        for column in table.c:
            made = str(CreateColumn(column).compile(dialect=dialect))
            if column.type.python_type is str:
                assert f"CHARACTER SET utf8mb4 COLLATE {collation}" in made
                assert "LONGTEXT" in made or "VARCHAR(255)" in made
        assert "ENGINE=InnoDB" in str(CreateTable(table).compile(dialect=dialect))


@pytest.mark.parametrize("dialect", [postgresql.dialect(), sqlite.dialect()])
def test_other_databases_have_the_types_that_they_had(dialect):
    assert str(CreateColumn(run_table.c.task_id).compile(dialect=dialect)) == "task_id VARCHAR(255) NOT NULL"
    assert str(CreateColumn(run_table.c.outcome).compile(dialect=dialect)) == "outcome TEXT"


@pytest.mark.parametrize("table", [run_table, chain_table, join_table])
def test_what_is_deleted_by_its_time_is_found_by_an_index(table):
    assert [index.name for index in table.indexes if list(index.columns) == [table.c.expires_us]]
