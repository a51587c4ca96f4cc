"""A log goes to a file and into the other kind of database with equal digests; nobody acts on a copy unasked."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import zstandard
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from kro_es.cli.operator import app
from kro_es.errors import UserError
from kro_es.events.types import LogAdopted
from kro_es.projections.registry import PROJECTIONS
from kro_es.store import lines, transfer
from kro_es.store.backup import backup
from kro_es.store.engine import open_engine
from kro_es.store.errors import SealedLog
from kro_es.store.event_log import EventLog
from kro_es.store.log_reader import LogReader
from kro_es.store.migrate import migrate
from kro_es.store.prune import plan, prune
from kro_es.store.rebuild import compare_with_log
from kro_es.store.redact import plan as plan_redaction
from kro_es.store.redact import redact
from kro_es.store.transfer import export, import_log
from kro_es.store.verify import verify
from tests.contract.store.support import ACTOR, NOW, command, deleted, seen, settled
from tests.contract.store.test_prune import churn
from tests.support.postgres import new_database


@pytest.fixture
def log(engine: Engine) -> EventLog:
    migrate(engine)
    made = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    made.issue_fence()
    return made


@pytest.fixture
def other(engine: Engine, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of the other kind."""
    sqlite = engine.dialect.name == "sqlite"
    made = new_database(request.getfixturevalue("postgres_server")) if sqlite else f"sqlite:///{tmp_path}/other.db"
    opened = open_engine(made)
    migrate(opened)
    yield opened
    opened.dispose()


def _fill(log: EventLog, engine: Engine) -> None:
    """A little of everything: churn that is pruned, a value that is redacted, an old state seen late, a gap."""
    log.append(
        [churn(version, version, zero=-0.0, one=1.0, yes=True, text="ünï\u0001") for version in range(1, 41)], now=NOW
    )
    log.append([seen("b", 5, token="planted"), seen("b", 6), seen("b", 4, late="yes")], now=NOW)
    log.append([settled("i"), command()], now=NOW)
    log.append([deleted("a", 41), churn(42, 42)], now=NOW + 10)
    prune(engine, plan(engine, NOW + 5), actor=ACTOR, now=NOW + 20)
    redact(engine, plan_redaction(engine, ["planted"]), reason="test", actor=ACTOR, now=NOW + 30)
    log.append([churn(43, 43)], now=NOW + 40)


def _chain(engine: Engine) -> tuple[int, bytes]:
    with engine.connect() as connection:
        position, chain = connection.exec_driver_sql("SELECT position, chain FROM log_head").one()
    return position, bytes(chain)


def _db(*words: str, url: str) -> Result:
    return CliRunner().invoke(app, ["db", *words, "--database", url])


def test_the_other_kind_of_database_has_equal_digests(
    log: EventLog, engine: Engine, other: Engine, tmp_path: Path
) -> None:
    _fill(log, engine)
    file = tmp_path / "log.jsonl.zst"
    manifest = export(engine, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    import_log(other, file, PROJECTIONS, now=NOW)
    assert _chain(other) == _chain(engine) == (manifest.position, bytes.fromhex(manifest.chain))
    mine, theirs = verify(engine), verify(other)
    assert (theirs.faults, theirs.events, theirs.pruned, theirs.redacted) == (
        [],
        mine.events,
        mine.pruned,
        mine.redacted,
    )
    assert mine.pruned > 30
    assert mine.redacted == 1
    assert repr(LogReader(other).read(1, 1000)) == repr(LogReader(engine).read(1, 1000))
    again = tmp_path / "again.jsonl.zst"
    export(other, again)
    assert _plain(again) == _plain(file)


def _plain(file: Path) -> bytes:
    with file.open("rb") as stream:
        return zstandard.ZstdDecompressor().stream_reader(stream).read()


def test_an_imported_log_goes_on(log: EventLog, engine: Engine, other: Engine, tmp_path: Path) -> None:
    _fill(log, engine)
    export(engine, tmp_path / "log.jsonl.zst")
    import_log(other, tmp_path / "log.jsonl.zst", PROJECTIONS, now=NOW)
    assert compare_with_log(other, PROJECTIONS) == []
    url = other.url.render_as_string(hide_password=False)
    assert _db("adopt", url=url).exit_code == 0
    for one in (engine, other):
        writer = EventLog(one, PROJECTIONS)
        writer.issue_fence()
        # the heads of streams are known: what is in the log is not doubled, what is older is late
        added = writer.append([churn(43, 43), seen("b", 6), seen("b", 3, late="yes"), churn(44, 44)], now=NOW + 50)
        assert [event.stream_version for event in added] == [4, 44]
        assert verify(one).ok
    assert compare_with_log(other, PROJECTIONS) == []


def test_an_export_that_fails_leaves_no_file(
    log: EventLog, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(log, engine)

    def full(connection: object) -> Iterator[object]:
        yield {}
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(transfer, "_lines", full)
        with pytest.raises(OSError, match="No space left"):
            export(engine, tmp_path / "log")
    assert not (tmp_path / "log").exists()
    export(engine, tmp_path / "log")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_file_that_is_cut_or_changed_is_refused(
    log: EventLog, engine: Engine, other: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(log, engine)
    export(engine, tmp_path / "good")
    whole, plain = (tmp_path / "good").read_bytes(), _plain(tmp_path / "good").splitlines(keepends=True)
    pack = zstandard.ZstdCompressor().compress
    large = orjson.loads(plain[-1])
    large["event"][-6] = 2**63
    bad = {
        "cut": whole[: len(whole) // 2],
        "line": pack(b"".join(plain[:-1])),
        "form": pack(b'{"form":"something"}\n'),
        "empty": pack(b""),
        "text": b"hello",
        "json": pack(b"".join(plain[:5]) + b"{\n"),
        "list": pack(b"[]\n"),
        "twice": pack(b"".join([*plain, plain[-1]])),
        "hex": pack(b"".join(plain).replace(b'"leaf":"', b'"leaf":"xyz')),
        "large": pack(b"".join([*plain[:-1], orjson.dumps(large)])),
        "bomb": pack(b" " * (1 << 20)),
    }
    monkeypatch.setattr(lines, "LONGEST", 1 << 20)
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="unpacks to more" if name == "bomb" else "."):
            import_log(other, tmp_path / name, PROJECTIONS, now=NOW)
        assert _chain(other)[0] == 0
    event = orjson.loads(plain[-1])
    event["payload"]["object"]["status"]["beat"] = 44
    (tmp_path / "forged").write_bytes(pack(b"".join([*plain[:-1], orjson.dumps(event) + b"\n"])))
    url = other.url.render_as_string(hide_password=False)
    refused = _db("import", str(tmp_path / "forged"), url=url)
    assert "not what was written" in str(refused.exception)


def test_a_log_with_events_is_not_imported_into(log: EventLog, engine: Engine, tmp_path: Path) -> None:
    log.append([seen("a", 1)], now=NOW)
    export(engine, tmp_path / "log")
    with pytest.raises(UserError, match="not empty"):
        import_log(engine, tmp_path / "log", PROJECTIONS, now=NOW)
    with pytest.raises(UserError, match="is there already"):
        export(engine, tmp_path / "log")


def test_an_export_has_its_name_when_it_is_whole(log: EventLog, engine: Engine, tmp_path: Path) -> None:
    log.append([seen("a", 1)], now=NOW)
    file, partial = tmp_path / "log", tmp_path / "log.partial"
    partial.write_text("of one that was killed")
    during = []
    export(engine, file, lambda *_: during.append((file.exists(), partial.exists())))
    assert (set(during), file.exists(), partial.exists()) == ({(False, True)}, True, False)


def test_a_backup_is_taken_while_the_log_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    engine = open_engine(url)
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    log.append([seen(f"o-{number}", 1) for number in range(3000)], now=NOW)
    stop = threading.Event()
    written = []

    def write() -> None:
        version = 1
        while not stop.is_set() and version < 3000:
            written.append(log.append([seen("a", version, beat=version)], now=NOW))
            version += 1

    writing = threading.Thread(target=write)
    writing.start()
    try:
        report = backup(engine, tmp_path / "copy.db", now=NOW)
    finally:
        stop.set()
        writing.join()
    assert report.ok
    assert report.events >= 3000
    assert log.verify().ok
    engine.dispose()


def test_nobody_acts_on_a_copy_before_it_is_adopted(tmp_path: Path) -> None:
    url, copy = f"sqlite:///{tmp_path}/log.db", f"sqlite:///{tmp_path}/copy.db"
    engine = open_engine(url)
    migrate(engine)
    EventLog(engine, PROJECTIONS, cluster="cluster-1").issue_fence()
    engine.dispose()
    made = _db("backup", f"{tmp_path}/copy.db", url=url)
    assert "whole: 1 events" in made.output, made.output
    assert isinstance(_db("backup", f"{tmp_path}/copy.db", url=url).exception, UserError)
    copied = open_engine(copy)
    with pytest.raises(SealedLog, match="kro-es db adopt"):
        EventLog(copied, PROJECTIONS).issue_fence()
    assert "adopted, event 2" in _db("adopt", url=copy).output
    writer = EventLog(copied, PROJECTIONS)
    writer.issue_fence()
    event = writer.event(2)
    assert event is not None
    assert event.body == LogAdopted("backup copy.db")
    assert isinstance(_db("adopt", url=copy).exception, UserError)
    copied.dispose()


def test_a_postgresql_is_backed_up_by_its_own_tools(log: EventLog, engine: Engine, url: str, tmp_path: Path) -> None:
    if engine.dialect.name == "sqlite":
        assert _db("backup", f"{tmp_path}/copy.db", url=url).exit_code == 0
        return
    with pytest.raises(UserError, match="pg_dump"):
        backup(engine, tmp_path / "copy.db", now=NOW)
