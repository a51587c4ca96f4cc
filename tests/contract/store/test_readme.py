"""The section on looking after the log: every command of it runs, in the order it is printed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kro_es.cli.history import app as history
from kro_es.cli.operator import app as operator
from kro_es.events.types import ObjectObserved
from kro_es.projections.registry import PROJECTIONS
from kro_es.store.engine import open_engine
from kro_es.store.event_log import EventLog
from kro_es.store.migrate import migrate
from tests.contract.store.support import NOW, deleted, seen

SECTION = re.search(
    r"^## Looking after the log$.*?^```sh\n(.*?)^```$",
    (Path(__file__).parents[3] / "README.md").read_text(),
    re.MULTILINE | re.DOTALL,
)


def _fill(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    log = EventLog(engine, PROJECTIONS, cluster="cluster-1")
    log.issue_fence()
    for start in range(0, 2500, 500):
        numbers = range(start, start + 500)
        found = [seen(f"o-{number % 50}", number, other=f"value {number * 7919 % 911}") for number in numbers]
        batch = [replace(event, body=_with_status(event.body, number)) for number, event in enumerate(found)]
        log.append(batch, now=NOW)
    log.append([seen("app", 1, TOKEN="pasted-by-mistake"), seen("app", 2)], now=NOW)
    log.append([deleted("o-1", 9999)], now=NOW)
    engine.dispose()


def _with_status(body: object, number: int) -> ObjectObserved:
    assert isinstance(body, ObjectObserved)
    return ObjectObserved({**body.object, "status": {"beat": number}})


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the key")
def test_every_command_of_the_section_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SECTION is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KRO_ES_DATABASE", f"sqlite:///{tmp_path}/log.db")
    _fill(f"sqlite:///{tmp_path}/log.db")
    said: dict[str, str] = {}
    for line in SECTION[1].splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "openssl":
            subprocess.run([program, *words], check=True, capture_output=True)
            continue
        done = CliRunner().invoke({"kro-es": operator, "kro-history": history}[program], words)
        assert (done.exit_code, done.exception) == (0, None), (line, done.output)
        said[" ".join(words)] = done.output
    assert "chain and projections verified" in said["db verify"]
    assert said["db prune --status-days 30"].splitlines()[-1].startswith("gone: ")
    assert "in use" in said["db retrain"] or "no better" in said["db retrain"]
    assert "the log up to" in said["verify --checkpoint-key public.pem --checkpoint head.json"]
    assert "adopted" in said["db adopt --database sqlite:///other.db"]
