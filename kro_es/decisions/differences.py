"""Which of our fields read differently in a live object, for people: the decision to write is made by digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, JsonValue
from kro_es.cel.errors import BadQuantity
from kro_es.cel.libraries.quantities import parse_quantity
from kro_es.events.redaction import MARK
from kro_es.plan import owned

_UNSAID = frozenset({metadata.VERSION})
_EMPTY: tuple[JsonValue, ...] = (None, False, 0, "", [], {})


def differences(wanted: JsonObject, live: JsonObject, fields: JsonObject) -> list[JsonObject]:
    """Leaves of the template that read differently, as ``{path, from, to}``; ``fields``: what we own (fieldsV1).

    Items of a list with keys are told by their keys, and by their place in the template. What the server only writes
    in another way (``1000m`` as ``1``, a ``false`` it leaves out) counts when there is nothing else.
    """
    found = [*_differing(wanted, live, fields, "")]
    return [change for change in found if not _same(change["from"], change["to"])] or found


def _differing(wanted: JsonValue, live: JsonValue, fields: JsonObject, path: str) -> Iterator[JsonObject]:
    if isinstance(wanted, dict) and isinstance(live, dict) and MARK not in wanted:
        for name, value in wanted.items():
            if name not in _UNSAID:
                below = fields.get(f"f:{name}") or {}
                yield from _differing(value, live.get(name), below, f"{path}.{name}" if path else name)
    elif isinstance(wanted, list) and isinstance(live, list):
        there = _places(live, fields)
        if not there and len(wanted) != len(live):
            yield {"path": path, "from": wanted, "to": live}
            return
        mine = {index: name for name, index in _places(wanted, fields).items()}
        for index, item in enumerate(wanted):
            name = mine.get(index, "")
            below = fields.get(name) or {}
            where = there.get(name) if name else index if index < len(live) else None
            yield from _differing(item, None if where is None else live[where], below, f"{path}[{index}]")
    elif wanted != live:
        yield {"path": path, "from": wanted, "to": live}


def _places(items: list[JsonValue], fields: Mapping[str, JsonValue]) -> dict[str, int]:
    """Selector to index; an item that has all keys goes before one where the server would add a default."""
    found: dict[str, int] = {}
    for exact in (True, False):
        for name in fields:
            if name != "." and name not in found:
                taken = found.values()
                here = (
                    n for n, item in enumerate(items) if n not in taken and owned.selects(name, item, n, exact=exact)
                )
                index = next(here, None)
                if index is not None:
                    found[name] = index
    return found


def _same(wanted: JsonValue, live: JsonValue) -> bool:
    if not isinstance(wanted, str | int | float) or isinstance(wanted, bool) or not isinstance(live, str):
        return wanted in _EMPTY and live is None
    try:
        return bool(parse_quantity(str(wanted)) == parse_quantity(live))
    except BadQuantity:
        return False
