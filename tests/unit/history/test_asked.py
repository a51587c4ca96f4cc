"""Before anything is written: the plan is seen, the question is asked apart from it, and nothing but a yes is a yes."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import NoReturn

import pytest
import typer

from kro_es.cli import history_rollback
from kro_es.cli.history_rollback import How
from kro_es.cli.history_state import State, confirm
from kro_es.cli.output import Format, ReaderGone, Screen
from kro_es.errors import UserError
from kro_es.history import targets, whole
from kro_es.history.rollback import Where
from kro_es.history.source import History
from tests.support.incident import END

_HOW = How(Where("/nowhere", None), "r", frozenset(), dry_run=False, yes=True, wait=False, seconds=1.0)


class _NobodyReads(Screen):
    def flush(self) -> NoReturn:
        raise ReaderGone


def test_a_plan_nobody_could_read_is_not_carried_out(history: History, incident: str) -> None:
    made = whole.of(history, targets.find(history, "webshop"), whole.Wanted("3"), None)
    asked = State(incident, _NobodyReads(END))
    with pytest.raises(UserError, match="the plan could not be shown, its reader is gone: nothing was written"):
        history_rollback.carry_out(asked, made, _HOW, Format.TABLE)
    with pytest.raises(typer.Exit) as ended:
        history_rollback.carry_out(asked, made, replace(_HOW, dry_run=True), Format.TABLE)
    assert ended.value.exit_code == 2


@pytest.mark.parametrize("answer", ["", "n\n", "\n", "yeah\n"])
def test_only_a_yes_is_a_yes(answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    with pytest.raises(UserError, match="not confirmed, nothing was done; --yes confirms without a question"):
        confirm("Write it?")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Write it? [y/N]: ")
    monkeypatch.setattr("sys.stdin", io.StringIO("Y\n"))
    confirm("Write it?")
