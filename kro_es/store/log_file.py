"""The file a SQLite log is in, known again: one that was removed or replaced still takes what is written, and keeps nothing."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from kro_es.errors import FenceLost


class LogFile:
    """Any other database has none, and nothing is ever wrong with it."""

    def __init__(self, engine: Engine) -> None:
        self._path = str(engine.url.database or "") if engine.dialect.name == "sqlite" else ""
        self._known: tuple[int, int] | None = None

    def remember(self) -> None:
        """To be called when it is there and is the log."""
        self._known = self._found()

    @property
    def lost(self) -> bool:
        """Whether the path leads to another file by now, or to none."""
        return self._known is not None and self._found() != self._known

    def refuse_another(self) -> None:
        """Raises FenceLost: what is at the path, if anything, belongs to whoever put it there."""
        if self.lost:
            raise FenceLost(f"the file of the log, {self._path}, was removed or replaced while it was in use")

    def _found(self) -> tuple[int, int] | None:
        try:
            found = Path(self._path).stat() if self._path else None
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found is not None else None
