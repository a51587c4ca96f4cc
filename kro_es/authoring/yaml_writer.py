"""Values to YAML that kubectl reads back as the same values: what would turn into something else is quoted."""

from __future__ import annotations

import yaml

from kro_es.api.objects import JsonValue
from kro_es.authoring.scalar import ScalarError, value_of

_LONGEST = 2**31 - 1
"""Lines are not folded: an expression stays on one line."""


def write(value: JsonValue) -> str:
    """One document, members in their order, in the layout of ``kro-es fmt``."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LONGEST)
    # a bare scalar is followed by the end-of-document mark
    return text.removesuffix("...\n")


def scalar(value: JsonValue) -> str:
    """A scalar, or an empty collection, on one line."""
    style = '"' if isinstance(value, str) and "\n" in value else None
    text: str = yaml.dump(value, Dumper=_Dumper, default_style=style, allow_unicode=True, width=_LONGEST)
    return text.removesuffix("...\n").removesuffix("\n")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """List items stand below their key, not beside it."""
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = dumper.default_style or ("|" if "\n" in text else '"' if _reads_as_other(text) else None)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _reads_as_other(text: str) -> bool:
    try:
        return not isinstance(value_of(text, None, plain=True), str)
    except ScalarError:
        return True


_Dumper.add_representer(str, _text)
