"""A mistake in the question is answered with what would be right, exit code 1 and no traceback."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from kro_es.store.engine import open_engine
from kro_es.store.migrate import migrate
from tests.unit.history.conftest import Ask


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("log", "deploi/shop"), "nothing called 'deploi/shop' in this log; did you mean deployment/shop"),
        (("log", "webshp"), "no definition 'webshp' in this log; did you mean webshop?"),
        (("log", "deploy/shop"), "deployment.apps/shop in prod, deployment.apps/shop in staging; say which with -n"),
        (("log", "deploy/blog", "-n", "staging"), "deploy/blog is not in namespace staging; it is in prod"),
        (("log", "deployment.batch/blog"), "nothing called 'deployment.batch/blog'"),
        (("log", "a/b/c"), "write KIND/NAME, KIND.group/NAME or the name of a definition"),
        (("log", "--type", "nope"), "no event is of type 'nope'; there are audit.matched, command.hold"),
        (("log", "--path", "spec"), "--path needs a TARGET"),
        (("log", "--kind", "deploymnt"), "nothing of kind 'deploymnt' in this log; did you mean deployment?"),
        (("log", "--actor", "dan"), "nothing by 'dan' in this log; did you mean dana?"),
        (("log", "-n", "prd"), "nothing of namespace 'prd' in this log; did you mean prod?"),
        (("log", "--name", "shp"), "nothing of name 'shp' in this log; did you mean shop"),
        (("diff", "webshop@2"), "name the revision to compare with, e.g. diff webshop@2 webshop@1"),
        (("graph", "webshop"), "belongs to none; name one of its instances, e.g. webshop/blog"),
        (("sql", " "), "there is no query: write SELECT ... over the views"),
        (("export", "--out", "/nowhere/x"), "/nowhere/x cannot be written: No such file or directory"),
        (("log", "--context", "x"), "No such option: --context"),
        (("log", "--until", "yesterday"), "'yesterday' names no moment: write a position, a time such as"),
        (("graph", "webshop/blog", "--at", "2020-01-01T00:00:00Z"), "is before the log began: it begins at 2026-03-02"),
        (("graph", "webshop/blog", "--at", "2030-01-01T00:00:00Z"), "is in the future: it is 2026-03-02T13:00"),
        (("graph", "webshop/blog", "--at", "999"), "position 999 is in the future: the log ends at 180"),
        (("graph", "rgd/webshop"), "resourcegraphdefinition webshop is no instance and belongs to none"),
        (("show", "999"), "there is no event 999: the log has 1 to 180"),
        (("show", "webshop@9"), "webshop has no revision 9; there are 1, 2, 3, 4"),
        (("show", "webshop@x"), "'webshop@x' is no revision: write it as NAME@NUMBER"),
        (("show", "webshop/docs"), "was not there at position 180; name a time with --at"),
        (("diff", "1", "2"), "say what to compare at these two moments: --of KIND/NAME"),
        (("diff", "webshop/blog"), "say from when: diff KIND/NAME --at T1"),
        (("blame", "deploy/blog", "spec.replica"), "no field 'spec.replica'; did you mean spec.replicas?"),
        (("why", "999"), "there is no event 999"),
        (("revisions", "webshp"), "did you mean webshop?"),
        (("sql", "SELECT nope FROM v_events"), "the database refused: no such column: nope"),
        (("rollback", "webshop", "--to", "9", "--reason", "r", "--dry-run"), "webshop has no revision 9"),
        (
            ("rollback", "webshop/shop", "-n", "prod", "--to", "999", "--reason", "r", "--dry-run"),
            "999 is in the future",
        ),
        (
            ("rollback", "webshop", "--to", "2020-01-01T00:00:00Z", "--reason", "r", "--dry-run"),
            "is before the log began",
        ),
        (
            ("rollback", "webshop/shop", "-n", "prod", "--to", "webshop@9", "--reason", "r", "--dry-run"),
            "never followed",
        ),
        (("rollback", "webshop/docs", "--to", "5", "--reason", "r", "--dry-run"), "was not there at position 5"),
        (
            ("rollback", "webshop/shop", "-n", "prod", "--with-instances", "--to", "9", "--reason", "r", "--dry-run"),
            "is none",
        ),
        (("release", "webshp", "--reason", "r"), "did you mean webshop?"),
        (("pin", "webshop/shp", "--to", "2", "--reason", "r"), "did you mean webshop/shop"),
        (("pin", "webshop/shop", "--to", "2", "--reason", "r"), "say which with -n NAMESPACE"),
        (("pin", "webshop", "--to", "2", "--reason", "r"), "write KIND/NAME, or KIND with -l SELECTOR"),
        (
            ("pin", "webshp", "-l", "a", "--to", "2", "--reason", "r"),
            "no definition makes 'webshp' in this log; did you mean webshop?",
        ),
        (
            ("unpin", "webshop", "-l", "a=b", "--reason", "r", "--dry-run"),
            "no webshop is pinned by 'a=b', and none with these labels by its name: kro-history pins",
        ),
        (("pin", "webshop", "-l", "a=b", "--to", "9", "--reason", "r", "--dry-run"), "webshop has no revision 9"),
        (("pin", "webshop", "-l", "a b", "--to", "2", "--reason", "r"), "'a b' is no part of a label selector"),
        (("pin", "webshop/blog", "--to", "x", "--reason", "r"), "'x' is no revision of webshop: give its number"),
        (("pin", "webshop/blog", "--to", "other@2", "--reason", "r"), "'other@2' is no revision of webshop"),
        (("pin", "deploy/blog", "--to", "2", "--reason", "r"), "is no instance: a pin is for instances"),
        (("rollback", "webshop", "--to", "x", "--reason", "r", "--dry-run"), "'x' is no revision of webshop"),
        (("rollback", "deploy/blog", "--to", "1", "--reason", "r"), "is neither a definition nor an instance"),
        (("rollback", "webshop", "--to", "1", "--reason", "r", "--accept", "x"), "no risk is called x; there are"),
    ],
)
def test_a_mistake_is_told_with_what_is_right(question: tuple[str, ...], answer: str, ask: Ask) -> None:
    said = ask(*question)
    assert said.code == 1
    assert answer in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_an_unknown_command_is_a_mistake_too(ask: Ask) -> None:
    said = ask("lgo")
    assert (said.code, said.err) == (1, "kro-history: there is no command 'lgo'; did you mean log?\n")


def test_what_is_missing_is_told_with_the_commands_own_help(ask: Ask) -> None:
    said = ask("show")
    assert (said.code, said.out) == (1, "")
    assert "missing argument WHAT" in said.err
    assert "kro-history show --help tells more" in said.err


def test_a_database_that_is_not_there_is_not_created(ask: Ask, tmp_path: Path) -> None:
    said = ask("log", database=f"sqlite:///{tmp_path}/none.db")
    assert said.code == 1
    assert "there is no database" in said.err
    assert not list(tmp_path.iterdir())


def test_a_newer_schema_is_named(ask: Ask, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    said = ask("log", database=url)
    assert said.code == 1
    assert "the database is at schema 9999, which this version of kro-es" in said.err


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (
            None,
            "no usable cluster configuration: there is no kubeconfig {path}, name one with --kubeconfig or KUBECONFIG",
        ),
        ("a: b: c", "no usable cluster configuration ({path}): mapping values are not allowed here"),
        ("hello", "no usable cluster configuration ({path}): "),
        ("kind: Config", "no usable cluster configuration ({path}): "),
    ],
)
def test_a_kubeconfig_that_is_none_is_told(content: str | None, answer: str, ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    said = ask("rollback", "webshop", "--to", "3", "--reason", "r", "--yes", "--kubeconfig", str(path))
    assert said.code == 1
    assert answer.format(path=path) in said.err
    assert said.err.count("\n") == 1


def test_a_file_that_is_no_database_is_told(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("hello " * 1000)
    said = ask("log", database=str(tmp_path / "x.db"))
    assert said.code == 1
    assert "this is no database of kro-es" in said.err


@pytest.mark.parametrize(
    "sql", ["DELETE FROM events", "ATTACH 'x' AS y", "PRAGMA writable_schema=1", "SELECT 1; DROP TABLE x"]
)
def test_sql_cannot_write(sql: str, ask: Ask) -> None:
    said = ask("sql", sql)
    assert said.code == 1
    assert "the database refused" in said.err


def test_a_query_that_takes_too_long_is_stopped(ask: Ask) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    said = ask("sql", endless, "--timeout", "0.2")
    assert (said.code, said.err) == (1, "kro-history: no answer within 0.2 s\n")


def test_rows_beyond_the_limit_are_told_of(ask: Ask) -> None:
    said = ask("sql", "SELECT position FROM v_events ORDER BY position", "--limit", "2", "-o", "json")
    assert said.json == [{"position": 1}, {"position": 2}]
    assert "only the first 2 rows are shown" in said.err


def test_explain_shows_the_plan_of_the_database(ask: Ask) -> None:
    said = ask("sql", "SELECT * FROM v_events WHERE position = 5", "--explain")
    assert "SEARCH e USING INTEGER PRIMARY KEY" in said.out


def test_a_database_may_be_called_anything(ask: Ask, incident: str, tmp_path: Path) -> None:
    path = tmp_path / "a?mode=rw#b%20c.db"
    shutil.copy(incident.removeprefix("sqlite:///"), path)
    assert ask("sql", "SELECT 7 AS n", "-o", "json", database=str(path)).json == [{"n": 7}]
    assert ask("log", "--limit", "1", "-o", "json", database=str(path)).code == 0
