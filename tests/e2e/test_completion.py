"""Each shell is given a script for either program, and completes words by it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
WORDS = {
    ("kro-es", "db", "upg"): {"upgrade"},
    ("kro-es", "run", "--functions", ""): {"full", "kro"},
    ("kro-history", "rollb"): {"rollback"},
    ("kro-history", "log", "-o", "js"): {"json", "jsonl"},
}
SHELLS = {
    "bash": 'eval "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _${2//-/_}_completion "$2"; echo "${COMPREPLY[@]}"',
    # what zsh's own completion would be called with
    "zsh": 'compdef() { :; }; _arguments() { print -r -- "$@"; }; _files() { :; }; eval "$1"; words=("${@:2}");'
    " CURRENT=${#words}; _${2//-/_}_completion",
    "fish": 'echo $argv[1] | source; complete -C (string join -- " " $argv[2..])',
}
"""What types the words ($2 ...) into a shell that has read the script ($1)."""


def _script(program: str, shell: str) -> str:
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    return _run([str(BIN / program)], {variable: f"source_{shell}"})


def _run(command: list[str], environ: dict[str, str]) -> str:
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run(command, env={**os.environ, **path, **environ}, capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stderr
    return found.stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_shell_completes_what_was_typed(shell: str, words: tuple[str, ...]) -> None:
    script = _script(words[0], shell)
    assert words[0] in script
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    last = ["script"] if shell != "fish" else []
    told = _run([shell, "-c", SHELLS[shell], *last, script, *words], {})
    assert {one for one in WORDS[words] if one in told} == WORDS[words], told
