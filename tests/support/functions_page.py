"""Writes docs/functions.md, the page of the functions expressions may call, from their declarations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kro_es.cel.declarations import FULL, KRO, UNSUPPORTED

PAGE = Path(__file__).parent.parent.parent / "docs" / "functions.md"

_HEAD = """# Functions of expressions

Members are written with their receiver; `T`, `K` and `V` stand for any type. What is marked with * is not in kro's own
environment (`kro-es run --functions kro`). Operators and the macros `has`, `all`, `exists`, `exists_one`, `map`,
`filter`, `sortBy`, `transformList`, `transformMap`, `transformMapEntry`, `optMap`, `optFlatMap` and `cel.bind` are part
of the language. `python -m tests.support.functions_page` writes this page from the declarations.
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


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
