"""What is closed to somebody is not there, in both databases, whatever SQL asks; and nothing can be written."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import DatabaseError

from kro_es.history.narrowed import NarrowedHistory, scopes
from kro_es.history.source import open_history
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.narrowed import Scope
from kro_es.store.tables import schema
from kro_es.store.views import VIEWS
from tests.support.incident import END, write_incident

STAGING = (Scope("kro.run", "WebShop", "staging"), Scope("apps", "Deployment", "staging"))
_OF_OBJECTS = ("v_events", "v_timeline", "v_instances", "v_instance_nodes", "v_rollouts", "v_drift", "v_revisions")


@pytest.fixture
def incident(url: str) -> str:
    return write_incident(url)


def test_every_table_and_view_is_narrowed(incident: str) -> None:
    narrowed = NarrowedHistory(incident, END, STAGING)
    whole = open_history(incident, END)
    for name in (*schema(PROJECTIONS).tables, *VIEWS):
        seen, there = (len(history.rows(f"SELECT * FROM {name}")) for history in (narrowed, whole))
        assert seen <= there
        assert seen < there or not there or name not in _OF_OBJECTS, name
    assert {row["namespace"] for row in narrowed.rows("SELECT namespace FROM v_timeline")} == {"staging"}
    assert {row["kind"] for row in narrowed.rows("SELECT kind FROM v_events")} == {"WebShop", "Deployment"}
    assert len(narrowed.rows("SELECT * FROM v_instances")) == 1
    for opened in (narrowed, whole):
        opened.close()


def test_all_scopes_show_every_event_about_an_object(incident: str) -> None:
    whole = open_history(incident, END)
    narrowed = NarrowedHistory(incident, END, scopes(whole))
    sql = "SELECT * FROM v_events WHERE kind <> '' ORDER BY position"
    assert narrowed.rows(sql) == whole.rows(sql) != []
    for opened in (narrowed, whole):
        opened.close()


def test_a_narrowed_session_cannot_write(incident: str) -> None:
    narrowed = NarrowedHistory(incident, END, STAGING)
    schema = "main" if incident.startswith("sqlite") else "public"
    with pytest.raises((DatabaseError, sqlite3.Error), match=r"readonly|read-only transaction"):
        narrowed.rows(f"DELETE FROM {schema}.heartbeat")
    narrowed.close()
