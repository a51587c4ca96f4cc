"""The README shows what the commands print, and knows every one of them."""

from __future__ import annotations

import re
from pathlib import Path

from kro_es.cli.history import COMMANDS
from kro_es.history.risks import RISKS
from tests.support import transcripts

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


def test_the_page_of_a_real_run_is_about_commands_there_are_and_the_readme_shows_of_it_what_it_should() -> None:
    assert transcripts.PAGE.read_text() == transcripts.page(REAL_RUN)
    asked = {block.split()[2] for block in REAL_RUN.values()}
    assert {"log", "why", "graph", "rollback"} <= asked
    assert asked <= set(COMMANDS)
    assert transcripts.shown(README, REAL_RUN) == README
    assert [title for title in transcripts.SHOWN if REAL_RUN[title] not in README] == []
