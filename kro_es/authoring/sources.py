"""The texts a command is asked about: files, folders, standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kro_es.errors import UserError

STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Source:
    """``name`` as the user wrote it, ``-`` for standard input."""

    name: str
    text: str


class Unreadable(UserError):
    """A text that cannot be had."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


def gather(names: Sequence[str]) -> Iterator[Source | Unreadable]:
    """Each text once, in the order asked for; a folder gives its YAML and JSON files, sorted, hidden ones left out."""
    seen: set[str] = set()
    for name in names:
        for file in _files(name):
            if file not in seen:
                seen.add(file)
                try:
                    yield read(file)
                except Unreadable as error:
                    yield error


def _files(name: str) -> list[str]:
    folder = Path(name)
    if name == STDIN or not folder.is_dir():
        return [name]
    return [
        str(file)
        for file in sorted(folder.rglob("*"))
        if file.suffix in _SUFFIXES and file.is_file() and not _hidden(file.relative_to(folder))
    ]


def _hidden(file: Path) -> bool:
    return any(part.startswith(".") for part in file.parts)


def read(name: str) -> Source:
    """Raises Unreadable."""
    try:
        raw = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise Unreadable(name, error.strerror or str(error)) from None
    try:
        return Source(name, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Unreadable(name, f"not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}") from None
