"""What a person does not want to type again: a file of settings, behind flags and variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kro_es.errors import UserError


@dataclass(frozen=True, slots=True)
class Preferences:
    """The file's keys; each has a flag of the same meaning."""

    database: str | None = None
    utc: bool = False
    relative: bool = False
    pager: bool = True


def preferences_file() -> Path:
    """``$KRO_ES_CONFIG``, or ``kro-es/history.toml`` in the user's folder of settings."""
    given = os.environ.get("KRO_ES_CONFIG")
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(given) if given else Path(home).expanduser() / "kro-es" / "history.toml"


def preferences() -> Preferences:
    """Without a file: all as it is by itself. Raises UserError with the place and what would be right."""
    file = preferences_file()
    try:
        text = file.read_text()
    except FileNotFoundError:
        return Preferences()
    except (OSError, UnicodeError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    import tomllib

    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{file}: {error}") from error
    return _checked(file, found)


def _checked(file: Path, found: dict[str, Any]) -> Preferences:
    known = sorted(field.name for field in fields(Preferences))
    for name, value in found.items():
        if name not in known:
            raise UserError(f"{file}: {name!r} is no setting; there are {', '.join(known)}")
        if name == "database" and not isinstance(value, str):
            raise UserError(f'{file}: database must be a text, e.g. "postgresql://..."')
        if name != "database" and not isinstance(value, bool):
            raise UserError(f"{file}: {name} must be true or false")
    return Preferences(**found)
