"""Pins by labels that a definition carries as an annotation: how they outlive the log."""

from __future__ import annotations

import orjson
import structlog

from kro_es.api import metadata
from kro_es.api.objects import JsonObject, annotations_of, uid
from kro_es.api.selector import Selector
from kro_es.decisions.pin import number_of
from kro_es.errors import UserError
from kro_es.events.types import Actor, CommandPinSelector

logger = structlog.get_logger(__name__)


def selector_pins(obj: JsonObject) -> list[tuple[CommandPinSelector, Actor]]:
    """As the commands of a log that is lost, with who gave them; what nobody can read is left out, and told."""
    text = annotations_of(obj).get(metadata.PINNED_INSTANCES)
    if text is None:
        return []
    name = obj["metadata"]["name"]
    try:
        return [_command(obj, name, one) for one in orjson.loads(text)]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, UserError) as error:
        logger.error("pins by labels cannot be read", definition=name, annotation=text, error=str(error))
        return []


def _command(obj: JsonObject, name: str, given: JsonObject) -> tuple[CommandPinSelector, Actor]:
    mark = str(given["pin"])
    body = CommandPinSelector(
        definition_uid=uid(obj),
        definition=name,
        namespace=str(given.get("namespace", "")),
        selector=Selector.of_text(str(given["selector"])).text,
        number=number_of(mark),
        mark=mark,
        reason=str(given.get("reason", "")),
        imported=True,
    )
    return body, Actor(str(given.get("by", "")), "cli")
