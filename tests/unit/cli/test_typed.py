"""What both programs say to a command line they cannot carry out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kro_es.settings import VERSION

PROGRAMS = ("kro-es", "kro-history")


def typed(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("KRO_ES_")}
    command = [str(Path(sys.executable).parent / program), *words]
    return subprocess.run(command, capture_output=True, text=True, env={**plain, "COLUMNS": "80"}, check=False)


@pytest.mark.parametrize("words", [("kro-es",), ("kro-history",), ("kro-es", "db"), ("kro-es", "cel")])
def test_a_program_typed_alone_shows_its_help_and_complains_of_nothing(words: tuple[str, ...]) -> None:
    said = typed(*words)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"Usage: {' '.join(words)} ")
    assert "..." not in said.stdout.split("Commands:")[1]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_tells_its_version(program: str) -> None:
    said = typed(program, "--version")
    assert (said.returncode, said.stdout) == (0, f"{VERSION}\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("kro-es", "run"), "kro-es: missing option --database (or KRO_ES_DATABASE); kro-es run --help tells more"),
        (("kro-es", "validate"), "kro-es: missing argument FILES; kro-es validate --help tells more"),
        (("kro-history", "rollback", "shop"), "kro-history: missing option --to; kro-history rollback --help tells more"),
        (("kro-history", "graph"), "kro-history: missing argument TARGET; kro-history graph --help tells more"),
        (("kro-es", "lnt"), "kro-es: No such command 'lnt'; kro-es --help tells more"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_as_it_has_to_be_typed(words: tuple[str, ...], told: str) -> None:
    said = typed(*words)
    assert (said.returncode, said.stdout, said.stderr) == (1, "", f"{told}\n")


def test_no_name_of_a_variable_is_cut_in_the_help() -> None:
    said = " ".join(typed("kro-es", "run", "--help").stdout.split())
    assert "[env var: KRO_ES_LEADER_ELECT]" in said
    assert "…" not in said
