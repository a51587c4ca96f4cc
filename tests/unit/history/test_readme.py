"""The README shows what the commands print, and knows every one of them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from kro_es.cli.history import COMMANDS, app
from kro_es.history.risks import RISKS
from tests.support import transcripts
from tests.unit.history.conftest import Ask

README = (Path(__file__).parents[3] / "README.md").read_text()
REAL_RUN = dict(re.findall(r"^## (.+)\n\n```\n((?s:.+?))```$", transcripts.PAGE.read_text(), re.MULTILINE))
TRANSCRIPTS = {file.read_text() for file in (Path(__file__).parent / "transcripts").glob("*.txt")}


def test_what_the_readme_shows_was_printed() -> None:
    shown = re.findall(r"^```\n(\$ kro-history (?s:.+?))^```$", README, re.MULTILINE)
    assert len(shown) >= 3
    assert set(shown) <= TRANSCRIPTS | set(REAL_RUN.values())


def test_the_readme_names_every_command_and_every_risk() -> None:
    text = README[README.index("## Asking the log") :]
    assert len(COMMANDS) >= 20
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", text)] == []
    assert [f"`{name}`" for name in RISKS if f"| `{name}` | {RISKS[name]} |" not in README] == []


_WRITE = {"rollback", "release", "pin", "unpin", "redact", "checkpoint", "report"}
EXAMPLES = [one for about in COMMANDS.values() for one in about.examples]


@pytest.mark.parametrize(
    "example", [one for one in EXAMPLES if not {*one.split(), "-f"} & _WRITE and " -f " not in one]
)
def test_an_example_of_the_help_can_be_typed_as_it_stands(
    example: str, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = ask(*shlex.split(example))
    if "--checkpoint" in example:
        assert "head.json" in said.err
    else:
        assert said.code in (0, 2), said.err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_examples_of_itself_that_it_understands(name: str, ask: Ask) -> None:
    about = COMMANDS[name]
    assert about.examples
    assert len(about.text) <= 60
    for example in about.examples:
        command, *words = shlex.split(example)
        assert command == name
        program = get_command(app).get_command(None, name)
        program.make_context(name, words)
    said = ask(name, "--help")
    assert f"Examples:\n    kro-history {about.examples[0]}\n" in said.out


def test_the_page_of_a_real_run_is_about_commands_there_are_and_the_readme_shows_of_it_what_it_should() -> None:
    assert transcripts.PAGE.read_text() == transcripts.page(REAL_RUN)
    asked = {block.split()[2] for block in REAL_RUN.values()}
    assert {"log", "why", "graph", "rollback"} <= asked
    assert asked <= set(COMMANDS)
    assert transcripts.shown(README, REAL_RUN) == README
    assert [title for title in transcripts.SHOWN if REAL_RUN[title] not in README] == []
