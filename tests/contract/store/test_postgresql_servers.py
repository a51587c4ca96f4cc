"""A PostgreSQL as its administrator set it up: it works, or one line says what is wrong and what helps."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Engine, exc
from sqlalchemy.engine import make_url

from kro_es.cli import history, operator
from kro_es.errors import UserError
from kro_es.history import read_only
from kro_es.projections.registry import PROJECTIONS
from kro_es.store import succession
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.writer import LogWriter
from tests.contract.store.conftest import MakeLog
from tests.contract.store.support import NOW, seen
from tests.support.postgres import new_database

Said = tuple[int | str | None, str]
_PASSWORD = "p@ss/w:rd%#? ü&=+"


@pytest.fixture
def url(postgres_server: str) -> str:
    return new_database(postgres_server)


@pytest.fixture
def admin(postgres_server: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


@pytest.fixture
def kro_es(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Exit code and what is said on stderr; anything but one line would be a traceback."""

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["kro-es", *words])
        with pytest.raises(SystemExit) as caught:
            operator.main()
        return caught.value.code, capsys.readouterr().err.strip()

    return run


def _database(url: str) -> str:
    return str(make_url(url).database)


def _new(postgres_server: str, admin: psycopg.Connection, options: str) -> str:
    url = make_url(new_database(postgres_server))
    name = f"{url.database}_{options.split()[1].lower().strip(chr(39))}"
    admin.execute(f"CREATE DATABASE {name} {options} TEMPLATE template0")  # type: ignore[call-overload]
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_another_encoding_than_utf8_is_refused(
    postgres_server: str, admin: psycopg.Connection, kro_es: Callable[..., Said], encoding: str
) -> None:
    url = _new(postgres_server, admin, f"ENCODING '{encoding}' LOCALE 'C'")
    code, said = kro_es("db", "upgrade", "--database", url)
    assert code == 1
    assert said.splitlines() == [said]
    assert f"is in {encoding}" in said
    assert "ENCODING 'UTF8'" in said


def test_a_client_encoding_of_the_environment_does_not_matter(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    engine = open_engine(url)
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="c")
    log.issue_fence()
    (event,) = log.append([seen("a", 1, text="ü漢😀")], now=NOW)
    assert log.read(1, 1) == [event]
    engine.dispose()


def _role(admin: psycopg.Connection, url: str, name: str) -> str:
    """URL of a role that may connect, with a password of odd characters."""
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{_PASSWORD}'")  # type: ignore[call-overload]
    return make_url(url).set(username=name, password=_PASSWORD).render_as_string(hide_password=False)


def test_a_role_that_may_not_create_tables_is_told_what_it_needs(
    url: str, admin: psycopg.Connection, kro_es: Callable[..., Said]
) -> None:
    code, said = kro_es("db", "upgrade", "--database", _role(admin, url, f"{_database(url)}_weak"))
    assert code == 1
    assert said.startswith("kro-es: the database refused: permission denied for schema public; the role")
    assert "GRANT CREATE ON SCHEMA" in said
    assert _PASSWORD not in said


@pytest.mark.parametrize("how", ["role", "url", "environment"])
def test_a_log_lives_in_the_first_schema_of_the_search_path(
    url: str,
    engine: Engine,
    admin: psycopg.Connection,
    kro_es: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    role = f"{_database(url)}_{how}"
    own = make_url(_role(admin, url, role))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA other AUTHORIZATION {role}")
    if how == "role":
        admin.execute(f"ALTER ROLE {role} SET search_path = other")  # type: ignore[call-overload]
    elif how == "url":
        own = own.update_query_dict({"options": "-c search_path=other"})
    else:
        monkeypatch.setenv("PGOPTIONS", "-c search_path=other")
    spelled = own.render_as_string(hide_password=False)
    for words in (("db", "upgrade"), ("db", "status"), ("db", "verify")):
        assert kro_es(*words, "--database", spelled) == (0, "")
    monkeypatch.setattr(sys, "argv", ["kro-history", "--database", spelled, "sql", "SELECT count(*) FROM v_events"])
    assert history.run() == 0
    with engine.connect() as connection:
        sql = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('events', 'p_objects')"
        assert connection.exec_driver_sql(sql).all() == [("other",)]
        # what the program sets itself is not lost by what the URL sets
    theirs = open_engine(spelled)
    with theirs.connect() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "20s"
    theirs.dispose()


def test_a_standby_is_named_as_what_it_is(
    url: str, engine: Engine, admin: psycopg.Connection, kro_es: Callable[..., Said]
) -> None:
    migrate(engine)
    engine.dispose()
    # the server answers as a standby does, to the letter
    admin.execute(f"ALTER DATABASE {_database(url)} SET default_transaction_read_only = on")  # type: ignore[call-overload]
    code, said = kro_es("db", "upgrade", "--database", url)
    assert code == 1
    assert said.endswith("in a read-only transaction; it is a standby, or set to read only: name the primary")
    assert kro_es("db", "status", "--database", url) == (0, "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"host": "127.0.0.1", "port": 1}, "refused"),
        ({"query": {"sslmode": "banana"}}, 'invalid sslmode value: "banana"'),
        ({"query": {"sslmod": "require"}}, 'invalid connection option "sslmod"'),
    ],
)
def test_a_url_that_leads_nowhere_is_one_line(
    url: str, kro_es: Callable[..., Said], change: dict[str, object], said: str
) -> None:
    place = make_url(url)
    wrong = place.set(**{"query": {} if "host" in change else place.query, **change})  # type: ignore[arg-type]
    code, line = kro_es("db", "status", "--database", wrong.render_as_string(hide_password=False))
    assert code == 1
    assert line.splitlines() == [line]
    assert said in line


def test_places_libpq_knows_are_known(url: str, kro_es: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    place = make_url(url)
    names = {"PGHOST": place.query.get("host"), "PGUSER": place.username, "PGDATABASE": place.database}
    for name, value in names.items():
        monkeypatch.setenv(name, str(value))
    assert kro_es("db", "upgrade", "--database", "postgresql://") == (0, "")
    assert kro_es("db", "status", "--database", url.replace("postgresql://", "postgres://")) == (0, "")


@pytest.mark.parametrize("doing", ["nothing", "sending rows"])
def test_a_writer_that_hangs_does_not_keep_the_head_from_its_successor(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch, doing: str
) -> None:
    """As a frozen process leaves it; in the middle of COPY no time-out of the server ends it."""
    monkeypatch.setattr(succession, "PATIENCE", 0.5)
    migrate(engine)
    EventLog(engine, PROJECTIONS, cluster="c").issue_fence()
    with psycopg.connect(url) as hung:
        hung.execute("SELECT * FROM log_head FOR UPDATE")
        if doing == "sending rows":
            hung.pgconn.exec_(b"COPY events FROM STDIN")
        successor = EventLog(engine, PROJECTIONS, cluster="c")
        fences: list[int] = []
        taking = threading.Thread(target=lambda: fences.append(successor.issue_fence()), daemon=True)
        taking.start()
        taking.join(30)
        assert fences == [2]
        hung.pgconn.finish()
    assert successor.append([seen("a", 1)], now=NOW)[0].position == 1


def test_who_asks_a_view_for_long_does_not_hinder_a_start(engine: Engine, url: str) -> None:
    migrate(engine)
    with psycopg.connect(url) as asking:
        asking.execute("SELECT * FROM v_events")
        starting = threading.Thread(target=migrate, args=(engine,), daemon=True)
        starting.start()
        starting.join(30)
        assert not starting.is_alive()


def test_a_view_of_an_older_program_is_made_anew(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP VIEW v_gaps")
        connection.exec_driver_sql("CREATE VIEW v_gaps AS SELECT 1 AS one")
    migrate(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT selector FROM v_gaps").all() == []


async def test_a_statement_the_server_refuses_for_one_event_fails_alone(make_log: MakeLog, engine: Engine) -> None:
    log = make_log()
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '42804'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER picky BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.resource_version = 666)"
            " EXECUTE FUNCTION picky()"
        )
    writer = LogWriter(log, clock=lambda: NOW)
    appends = [writer.append([seen(f"n{version}", version)]) for version in (1, 666, 2)]
    results = await asyncio.gather(*appends, return_exceptions=True)
    await writer.close()
    assert [type(result) for result in results] == [tuple, exc.ProgrammingError, tuple]
    assert [event.resource_version for event in log.read(1, 10)] == [1, 2]


async def test_a_table_that_is_away_for_a_while_is_waited_for(make_log: MakeLog, engine: Engine, url: str) -> None:
    writer = LogWriter(make_log(), clock=lambda: NOW)
    with psycopg.connect(url, autocommit=True) as restoring:
        restoring.execute("ALTER TABLE events RENAME TO restored")
        waiting = asyncio.create_task(writer.append([seen("a", 1)]))
        async with asyncio.timeout(20):
            while writer.healthy:
                await asyncio.sleep(0.01)
        restoring.execute("ALTER TABLE restored RENAME TO events")
    assert [event.position for event in await waiting] == [1]
    await writer.close()


@pytest.mark.parametrize("pooled", [False, True])
def test_behind_a_pooler_no_statement_is_prepared(url: str, monkeypatch: pytest.MonkeyPatch, pooled: bool) -> None:
    """PgBouncer gives each client a process number of its own making, and any session it has to each transaction."""
    if pooled:
        monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda _: 12345))
    engine = open_engine(url)
    migrate(engine)
    with engine.connect() as connection:
        for _ in range(20):
            connection.exec_driver_sql("SELECT position FROM log_head").all()
        prepared = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar()
    engine.dispose()
    assert (prepared == 0) is pooled


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1; COMMIT; DROP TABLE events"])
def test_sql_of_a_person_is_one_statement_and_prepares_none(url: str, engine: Engine, sql: str) -> None:
    migrate(engine)
    assert read_only.select(url, "SELECT count(*) AS n FROM v_events").rows == [{"n": 0}]
    assert read_only.explain(url, "SELECT 1").rows
    with pytest.raises(UserError, match="multiple commands"):
        read_only.select(url, sql)
    with pytest.raises(UserError, match="multiple commands"):
        read_only.explain(url, sql)
