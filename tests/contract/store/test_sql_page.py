"""What docs/sql.md says: its tables of columns, and every query of its cookbook with its answer, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from kro_es.errors import UserError
from kro_es.history.read_only import explain, select
from kro_es.history.source import open_history
from kro_es.store.views import columns_markdown
from tests.support.incident import END, write_incident
from tests.support.sql_page import PAGE, answered, answers, queries

QUERIES = queries(PAGE.read_text())


@pytest.fixture
def database(url: str) -> str:
    return write_incident(url)


def test_the_page_has_the_columns_of_every_view() -> None:
    assert columns_markdown() in PAGE.read_text()


def test_the_cookbook_answers_what_it_says(database: str) -> None:
    expected = answers(PAGE.read_text())
    assert len(QUERIES) >= 25
    found = {title: answered(database, sql) for title, sql in QUERIES.items()}
    assert found == expected
    assert all(table.count("\n") >= 2 for table in found.values()), "a query without an answer shows nothing"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM events",
        "UPDATE log_head SET position = 0",
        "CREATE TABLE t (x int)",
        "DROP VIEW v_events",
        "SELECT 1; DELETE FROM events",
        "COMMIT; DELETE FROM events",
        "WITH gone AS (DELETE FROM events RETURNING 1) SELECT * FROM gone",
        "SET TRANSACTION READ WRITE",
        "ROLLBACK",
    ],
)
def test_nothing_can_be_written(database: str, engine: Engine, sql: str) -> None:
    with pytest.raises(UserError, match="the database refused"):
        select(database, sql)
    history = open_history(database, END)
    assert history.head == 180
    history.engine.dispose()


def test_rows_and_time_are_bounded(database: str) -> None:
    few = select(database, "SELECT position FROM v_events ORDER BY position", limit=3)
    assert [row["position"] for row in few.rows] == [1, 2, 3]
    assert few.notes
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(UserError, match=r"no answer within 0\.3 s"):
        select(database, endless, seconds=0.3)


def test_the_plan_of_a_query_is_shown(database: str) -> None:
    plan = "\n".join(str(row["plan"]) for row in explain(database, "SELECT * FROM v_gaps").rows)
    assert "p_gaps" in plan or " g" in plan
