"""``kro-es projector`` as processes: one folds, the other stands by and takes over when the first is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine
from typer.testing import CliRunner

from kro_es.cli.operator import app
from kro_es.controller.projector_process import ProjectorSettings, run
from kro_es.controller.run import refuse_unfolded
from kro_es.errors import UserError
from kro_es.projections.registry import FOR_PEOPLE, NEEDED
from kro_es.projections.registry import PROJECTIONS as ALL
from kro_es.settings import Settings
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from kro_es.store.rebuild import compare_with_log
from tests.contract.store.support import NOW, seen, settled
from tests.support.operator import Operator
from tests.support.postgres import new_database
from tests.support.steps import eventually

MANIFEST = Path(__file__).parents[3] / "deploy" / "projector.yaml"
ACTIVE = 'kro_es_projection_active{projection="timeline"}'
POSITION = 'kro_es_projection_position{projection="timeline"}'
LAG = 'kro_es_projection_lag_events{projection="timeline"}'


def _status(url: str) -> str:
    return CliRunner().invoke(app, ["db", "status", "--database", url]).output


@pytest.fixture
def url(postgres_server: str) -> str:
    return new_database(postgres_server)


@pytest.fixture
def projectors(url: str, engine: Engine, tmp_path: Path) -> Iterator[list[Operator]]:
    """As the manifest starts them. The database has no schema yet: they wait for a controller to make it."""
    pod = next(yaml.safe_load_all(MANIFEST.read_text()))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [item["name"] for item in container["env"] if "valueFrom" in item] == ["KRO_ES_DATABASE"]
    words = (*container["args"], "--database", url)
    made = []
    for number in range(2):
        (folder := tmp_path / str(number)).mkdir()
        made.append(Operator(None, folder, database=url, arguments=words).start(wait=False))
    yield made
    for process in made:
        if process.running:
            process.stop()


def test_the_second_takes_over_from_one_that_was_killed(engine: Engine, url: str, projectors: list[Operator]) -> None:
    migrate(engine)
    log = EventLog(engine, NEEDED, cluster="cluster-1", left=FOR_PEOPLE)
    log.issue_fence()
    log.append([seen("a", 1), settled("i")], now=NOW)
    for process in projectors:
        process.wait_ready()
    eventually(lambda: max(p.metric(POSITION) for p in projectors), lambda position: position == 2, "folded")
    first, second = sorted(projectors, key=lambda process: -process.metric(ACTIVE))
    eventually(lambda: (first.metric(ACTIVE), second.metric(ACTIVE)), lambda found: found == (1, 0), "one is active")
    shown = _status(url)
    assert [line.split()[0] for line in shown.splitlines() if "kro-es projector" in line] == [
        projection.name for projection in ALL if projection in FOR_PEOPLE
    ]
    assert f"/{first.pid}" in shown
    first.kill()
    log.append([seen("a", 2)], now=NOW)
    eventually(lambda: second.metric(POSITION), lambda position: position == 3, "taken over")
    assert (second.metric(ACTIVE), second.metric(LAG)) == (1, 0)
    assert compare_with_log(engine, ALL) == []
    assert second.stop() == 0
    # the server ends a session a moment after its client did
    eventually(lambda: _status(url), lambda told: "nobody" in told, "nobody folds")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (ProjectorSettings("sqlite:///log.db"), "is for PostgreSQL"),
        (ProjectorSettings("postgresql:///x", ("timeline", "objects")), "rollouts, gaps, drift, timeline"),
        (ProjectorSettings("mysql://x"), "use sqlite or postgresql"),
    ],
)
async def test_what_cannot_be_is_refused(settings: ProjectorSettings, told: str) -> None:
    with pytest.raises(UserError, match=told):
        await run(settings)


def test_a_controller_on_a_file_folds_everything() -> None:
    with pytest.raises(UserError, match="is for PostgreSQL"):
        refuse_unfolded(Settings("sqlite:///log.db", projections="needed"))
    refuse_unfolded(Settings("postgresql:///log", projections="needed"))
