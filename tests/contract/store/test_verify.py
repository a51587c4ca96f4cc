"""A log changed behind its back is noticed, whatever was changed."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from kro_es.store.event_log import EventLog
from tests.contract.store.support import NOW, command, seen, settled

CHANGES = {
    "time": "UPDATE events SET occurred_at = occurred_at + 1 WHERE position = 3",
    "cause": "UPDATE events SET cause = 1 WHERE position = 3",
    "actor": "UPDATE actors SET name = 'somebody' WHERE name = 'alice'",
    "subject": "UPDATE subjects SET uid = 'other' WHERE name = 'a'",
    "stream": "UPDATE streams SET name = 'other' WHERE name = 'instance/i'",
    "base": "UPDATE events SET base_version = 99 WHERE position = 2",
    "chain": "UPDATE commits SET chain = (SELECT leaf FROM events WHERE position = 1) WHERE last_position = 2",
    "gap": "DELETE FROM events WHERE position = 3",
    "tail": "DELETE FROM events WHERE position = 4",
    "lost commit": "DELETE FROM commits WHERE last_position = 4",
    "head": "UPDATE log_head SET position = 5",
}


def _fill(log: EventLog) -> None:
    log.append([seen("a", 1), seen("a", 2, counter=1)], now=NOW)
    log.append([settled("i")], now=NOW)
    log.append([command()], now=NOW)


def test_an_untouched_log_is_good(log: EventLog) -> None:
    _fill(log)
    report = log.verify()
    assert (report.ok, report.events, report.commits, report.redacted) == (True, 4, 3, 0)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_row_is_noticed(log: EventLog, engine: Engine, change: str) -> None:
    _fill(log)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(CHANGES[change]).rowcount == 1
    assert not log.verify().ok


@pytest.mark.parametrize("column", ["payload", "leaf", "salt", "event_id"])
@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_flipped_byte_is_noticed(log: EventLog, engine: Engine, column: str, position: int) -> None:
    _fill(log)
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    with engine.begin() as connection:
        found = connection.exec_driver_sql(f"SELECT {column} FROM events WHERE position = {position}").scalar_one()
        flipped = bytearray(found)
        flipped[len(flipped) // 2] ^= 1
        sql = f"UPDATE events SET {column} = {mark} WHERE position = {position}"
        connection.exec_driver_sql(sql, (bytes(flipped),))
    assert not log.verify().ok


def test_a_salt_that_nobody_accounts_for_is_missed(log: EventLog, engine: Engine) -> None:
    _fill(log)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET salt = NULL WHERE position = 3")
    assert not log.verify().ok
