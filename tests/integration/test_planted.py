"""Planted values on a real API server and PostgreSQL: not in a dump, the server's files, an export, an answer or a log line."""

from __future__ import annotations

import base64
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import zstandard
from sqlalchemy.engine import make_url

from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.rebuild import compare_with_log
from kro_es.store.verify import verify
from tests.conftest import Cluster
from tests.support.operator import Operator
from tests.support.postgres import new_database, programs
from tests.support.steps import Steps, config_map, definition, events, eventually, instance, message

README = (Path(__file__).parents[2] / "README.md").read_text()
KEY = "planted-in-the-instance"
PASSWORD = "planted-in-a-secret"
TOKEN = "planted-in-a-config-map"
FOREIGN = "planted-in-a-secret-of-others"
OPEN = "shown-to-everybody"
PLANTED = (KEY, PASSWORD, TOKEN, FOREIGN)
RULES = ("Planted:spec.key", "Planted:spec.password", "Planted:spec.token", "ConfigMap:data.*_TOKEN")


def _commands() -> list[list[str]]:
    """What the README says a controller, a projector and a look at both are started by."""
    (block,) = [text for text in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "kro-es projector" in text]
    found = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert [words[0] for words in found] == ["kro-es"] * 3
    return [words[1:] for words in found]


@pytest.fixture
def database(postgres_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    found = new_database(postgres_server)
    monkeypatch.setenv("KRO_ES_DATABASE", found)
    return found


@pytest.fixture
def processes(
    cluster: Cluster, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Operator, Operator]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POD_NAMESPACE", cluster.namespace)
    run, project, _ = _commands()
    more = ("--install-crds", "--log-level", "debug", *(word for rule in RULES for word in ("--redact", rule)))
    made = []
    for name, config, words in (
        ("controller", cluster.kubeconfig("controller"), (*run, *more)),
        ("projector", None, (*project, "--log-level", "debug")),
    ):
        (folder := tmp_path / name).mkdir()
        made.append(Operator(config, folder, database=database, arguments=words).start(wait=False))
    for process in made:
        process.wait_ready()
    try:
        yield made[0], made[1]
        cluster.kubectl("delete", "planteds", "--all", "-n", cluster.namespace, "--timeout=30s")
        cluster.kubectl("delete", "rgd", "planteds", "--timeout=30s")
        cluster.kubectl("delete", "crd", "planteds.kro.run", "--timeout=30s")
    finally:
        for process in made:
            process.stop()


def _definition() -> dict[str, object]:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "${schema.metadata.name}-db"}}
    foreign = {"id": "foreign", "externalRef": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "foreign"}}}
    held = {
        "A_TOKEN": "${schema.spec.token}",
        "copied": "${schema.spec.key}",
        "read": "${string(foreign.data.word)}",
        "open": "${schema.spec.open}",
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "${schema.metadata.name}-svc"},
        # no address: the server's refusal says what it was given
        "spec": {"clusterIP": "${schema.spec.key}", "ports": [{"port": 80}]},
    }
    return definition(
        "planteds",
        "Planted",
        {"key": "string", "password": "string", "token": "string", "open": "string", "broken": "boolean"},
        {"id": "db", "template": {**secret, "stringData": {"password": "${schema.spec.password}"}}},
        foreign,
        config_map("held", "${schema.metadata.name}-held", held),
        {"id": "svc", "template": service, "includeWhen": ["${schema.spec.broken}"]},
        status={"echo": "${schema.spec.key + held.data.A_TOKEN}"},
    )


def _spec(*, broken: bool) -> dict[str, object]:
    return {"key": KEY, "password": PASSWORD, "token": TOKEN, "open": OPEN, "broken": broken}


def _found(text: str) -> list[str]:
    """Planted values, clear or as a Secret has them."""
    return [value for value in PLANTED if value in text or base64.b64encode(value.encode()).decode()[:-4] in text]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(errors="replace")


def _dump(database: str) -> str:
    """The database as ``pg_dump`` writes it, its files, and the server's write-ahead log and messages."""
    engine = open_engine(database)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("CHECKPOINT")
        folder = Path(str(connection.exec_driver_sql("SHOW data_directory").scalar_one()))
        own = connection.exec_driver_sql("SELECT oid FROM pg_database WHERE datname = current_database()").scalar_one()
    engine.dispose()
    paths = [*(folder / "base" / str(own)).iterdir(), *(folder / "pg_wal").glob("0*"), *folder.glob("log*")]
    files = [path.read_bytes().decode("latin-1") for path in paths if path.is_file()]
    assert len(files) > 100
    address = make_url(database)
    where = ("--host", str(address.query["host"]), "--username", str(address.username), str(address.database))
    return "\n".join([_run(str(programs() / "pg_dump"), "--inserts", *where), *files])


def _copies(database: str, folder: Path) -> str:
    """An export, and what is in it."""
    kro = (sys.executable, "-m", "kro_es.cli.operator", "db", "export", str(folder / "log.jsonl.zst"))
    _run(*kro, "--database", database)
    packed = (folder / "log.jsonl.zst").read_bytes()
    return packed.decode("latin-1") + zstandard.ZstdDecompressor().stream_reader(packed).read().decode()


def _answers(database: str, namespace: str) -> str:
    history = (sys.executable, "-m", "kro_es.cli.history", "--database", database)
    asked = (("export",), ("log", "-o", "json", "--limit", "1000"), ("why", "planted/p", "-n", namespace, "-o", "json"))
    done = [subprocess.run((*history, *words), capture_output=True, text=True, timeout=60) for words in asked]
    return "\n".join(one.stdout + one.stderr for one in done)


def test_planted_values_are_nowhere(
    cluster: Cluster, processes: tuple[Operator, Operator], database: str, tmp_path: Path
) -> None:
    controller, projector = processes
    steps = Steps(cluster)
    steps.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "foreign"}, "stringData": {"word": FOREIGN}}
    )
    steps.apply(_definition())
    steps.active("planteds")
    steps.apply(instance("Planted", "p", _spec(broken=True)))
    eventually(lambda: message(steps.get("planted", "p"), "Ready"), lambda text: "clusterIP" in text, "refused")
    steps.apply(instance("Planted", "p", _spec(broken=False)))
    found = steps.ready("planted", "p")
    # the values were where they belong, and one in an annotation that kubectl makes
    assert found["status"]["echo"] == KEY + TOKEN
    assert KEY in found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert base64.b64decode(steps.get("secret", "p-db")["data"]["password"]).decode() == PASSWORD
    assert steps.get("cm", "p-held")["data"] == {"A_TOKEN": TOKEN, "copied": KEY, "read": FOREIGN, "open": OPEN}
    refused = [event for event in events(database) if event.type == "write.failed"]
    assert any("Invalid value" in str(event.body) for event in refused)

    lag = 'kro_es_projection_lag_events{projection="timeline"}'
    eventually(lambda: projector.metric(lag), lambda behind: behind == 0, "all is folded")
    shown = _run(sys.executable, "-m", "kro_es.cli.operator", *_commands()[2])
    assert f"/{projector.pid}" in shown
    places = {
        "events": orjson.dumps([str(event) for event in events(database)]).decode(),
        "dump": _dump(database),
        "export": _copies(database, tmp_path),
        "answers": _answers(database, cluster.namespace),
        "logs": controller.text() + projector.text(),
    }
    assert {place: _found(text) for place, text in places.items() if _found(text)} == {}
    assert [place for place, text in places.items() if OPEN not in text] == ["logs"]
    engine = open_engine(database)
    assert [*verify(engine).faults, *compare_with_log(engine, PROJECTIONS)] == []
    engine.dispose()
