"""A reader's role asks the log and its views, before and after a migration, and changes nothing."""

from __future__ import annotations

from typing import cast

import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import ProgrammingError
from typer.testing import CliRunner

from kro_es.cli.database import app
from kro_es.errors import UserError
from kro_es.history.errand import Cluster, Errand
from kro_es.history.read_only import select
from kro_es.history.source import open_history
from kro_es.history.targets import find
from kro_es.store.engine import open_engine
from kro_es.store.grants import grant_reader
from kro_es.store.sql import run
from kro_es.store.views import VIEWS, create_views
from tests.support.incident import END, write_incident


@pytest.fixture
def written(url: str) -> str:
    return write_incident(url)


def test_a_file_has_no_roles(written: str, engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("a server has")
    with pytest.raises(UserError, match="a SQLite file has no roles"):
        grant_reader(engine, "anybody")


def test_a_reader_reads_everything_and_writes_nothing(written: str, engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("a file has no roles")
    role = f"{make_url(written).database}_Reader"
    with engine.begin() as connection:
        quoted = connection.dialect.identifier_preparer.quote(role)
        connection.exec_driver_sql(f"CREATE ROLE {quoted} LOGIN")
    theirs = make_url(written).set(drivername="postgresql", username=role).render_as_string(hide_password=False)
    assert CliRunner().invoke(app, ["grant-reader", role, "--database", written]).exit_code == 0
    with engine.begin() as connection:
        create_views(connection)
    for view in VIEWS:
        select(theirs, f"SELECT * FROM {view}", limit=1)
    history = open_history(theirs, END)
    assert history.log.head() == 180
    history.close()
    reader = open_engine(theirs)
    with pytest.raises(ProgrammingError, match="permission denied"), reader.begin() as connection:
        run(connection, "DELETE FROM events")
    reader.dispose()


def test_an_unknown_role_is_told(written: str, engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("a file has no roles")
    with pytest.raises(UserError, match="the server has no role 'postgre'; did you mean postgres"):
        grant_reader(engine, "postgre")


def test_who_may_not_read_is_told_who_can_change_that(written: str, engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("a file has no roles")
    role = f"{make_url(written).database}_nobody"
    with engine.begin() as connection:
        connection.exec_driver_sql(f'CREATE ROLE "{role}" LOGIN')
    theirs = make_url(written).set(drivername="postgresql", username=role).render_as_string(hide_password=False)
    with pytest.raises(UserError, match=r"this role may not read the log \(permission denied .*kro-es db grant-reader"):
        open_history(theirs, END)


def test_who_may_read_gives_no_command(written: str, engine: Engine) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("a file has no roles")
    role = f"{make_url(written).database}_reads"
    with engine.begin() as connection:
        connection.exec_driver_sql(f'CREATE ROLE "{role}" LOGIN')
    grant_reader(engine, role)
    theirs = make_url(written).set(drivername="postgresql", username=role).render_as_string(hide_password=False)
    history = open_history(theirs, END)
    errand = Errand(history, cast("Cluster", None), "r", breaking=False, hold=False)
    with pytest.raises(
        UserError, match="could not be written to the log, and nothing is done without: permission denied"
    ):
        errand.append(errand.release(find(history, "webshop")))
    history.close()
