"""The recorded incident, written once per session; kro-history asked in this process, at a fixed moment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kro_es.cli import history as program
from kro_es.cli import history_state
from kro_es.history.source import History, open_history
from tests.support.incident import END, write_incident


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Ask = Callable[..., Said]


@pytest.fixture(scope="session")
def incident(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_incident(f"sqlite:///{tmp_path_factory.mktemp('incident')}/log.db")


@pytest.fixture(scope="session")
def unsolved(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The log as it was before anybody rolled back."""
    return write_incident(f"sqlite:///{tmp_path_factory.mktemp('unsolved')}/log.db", unsolved=True)


@pytest.fixture
def history(incident: str) -> History:
    return open_history(incident, END)


@pytest.fixture
def ask(incident: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """``ask("log", "-o", "json")``; ``database=`` names another log."""
    monkeypatch.setattr(history_state, "clock", lambda: END)
    monkeypatch.delenv("KRO_ES_DATABASE", raising=False)
    monkeypatch.setenv("KRO_ES_CONFIG", "/nowhere/history.toml")

    def asked(*args: str, database: str = incident) -> Said:
        monkeypatch.setattr("sys.argv", ["kro-history", "--database", database, "--utc", *args])
        code = program.run()
        found = capfd.readouterr()
        return Said(code, found.out, found.err)

    return asked


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares with a committed transcript; KRO_ES_WRITE_GOLDEN=1 writes it anew."""
    folder = Path(__file__).parent / "transcripts"

    def compared(name: str, text: str) -> None:
        file = folder / f"{name}.txt"
        if os.environ.get("KRO_ES_WRITE_GOLDEN"):
            folder.mkdir(exist_ok=True)
            file.write_text(text)
        assert text == file.read_text()

    return compared
