"""The functions of expressions as a page in Markdown, written from their declarations."""

from __future__ import annotations

from collections.abc import Iterator

from kro_es.cel.declarations import FULL, KRO, UNSUPPORTED

_HEAD = """# Functions of expressions

Members are written with their receiver; `T`, `K` and `V` stand for any type. What is marked with * is not in kro's own
environment (`kro-es run --functions kro`). Operators and the macros `has`, `all`, `exists`, `exists_one`, `map`,
`filter`, `sortBy`, `transformList`, `transformMap`, `transformMapEntry`, `optMap`, `optFlatMap` and `cel.bind` are part
of the language. `kro-es cel functions` prints this page.
"""


def page() -> str:
    """Every function, then what is left out and why."""
    lines = [_HEAD, *_functions(), "", "## Left out", ""]
    lines += [f"- `{name}`: {why}" for name, why in sorted(UNSUPPORTED.items())]
    return "\n".join(lines) + "\n"


def _functions() -> Iterator[str]:
    for name, overloads in sorted(FULL.functions.items(), key=lambda item: item[0].lower()):
        if name.replace(".", "").isalnum():
            known = KRO.functions.get(name, ())
            shown = dict.fromkeys(f"`{overload}`{'' if overload in known else ' *'}" for overload in overloads)
            yield f"- {', '.join(shown)}"
