"""YAML in the project's layout: two blanks a level, list items below their key, nothing at line ends; comments stay."""

from __future__ import annotations

import io
import re

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kro_es.api.objects import JsonValue
from kro_es.authoring.yaml_reader import YamlError, chunks, read
from kro_es.errors import UserError

_HEAD = re.compile(r"[ \t]*(#.*|%.*)?$|---[ \t]*(#.*)?$")
_LONGEST = 2**16
"""Lines are broken by their author and by nobody else."""


class FormatError(UserError):
    """A text that cannot be laid out anew without changing what it says."""


def formatted(text: str) -> str:
    """The text itself when there is nothing to change. Raises FormatError and YamlError.

    Members keep their order: a comment belongs to the lines around it, and would be parted from them.
    """
    before = _values(text)
    try:
        result = "".join(_laid_out(chunk) for chunk in chunks(text))
    except (YAMLError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise FormatError(f"cannot be formatted: {error}") from None
    if _values(result) != before or _comments(result) != _comments(text):
        raise FormatError("cannot be formatted without changing what it says")
    return result


def _values(text: str) -> list[JsonValue]:
    found: list[JsonValue] = []
    for document in read(text):
        if isinstance(document, YamlError):
            raise document
        found.append(document.root.value)
    return found


def _comments(text: str) -> list[str]:
    """Words behind each ``#``; an upper bound of the comments, which is enough to see that none was lost."""
    return [line[line.index("#") :].rstrip() for line in text.splitlines() if "#" in line]


def _laid_out(chunk: str) -> str:
    """One document; what stands before its first value is left as it is."""
    lines = chunk.splitlines(keepends=True)
    head = next((index for index, line in enumerate(lines) if not _HEAD.match(line)), len(lines))
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _LONGEST
    yaml.indent(mapping=2, sequence=4, offset=2)
    opening = "".join(f"{line.rstrip()}\n" for line in lines[:head])
    if head == len(lines):
        return opening
    out = io.StringIO()
    yaml.dump(yaml.load("".join(lines[head:])), out)
    return opening + out.getvalue()
