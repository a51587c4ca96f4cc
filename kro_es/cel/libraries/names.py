"""The ``format`` functions of Kubernetes: named forms of names and identifiers, and what is wrong with a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import re2

from kro_es.cel.errors import EvaluationError
from kro_es.cel.libraries.urls import parse_url
from kro_es.cel.overloads import Overload, function, member
from kro_es.cel.text import decode_base64, parse_timestamp
from kro_es.cel.types import STRING, ListType, OpaqueType, OptionalType
from kro_es.cel.values import NONE, CelValue, Opaque, Optional

FORMAT = OpaqueType("kubernetes.NamedFormat")

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_UUID = "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"
_MAX_LABEL, _MAX_SUBDOMAIN = 63, 253


@dataclass(frozen=True, slots=True)
class Format(Opaque):
    """One form by its name."""

    cel_type: ClassVar[str] = FORMAT.name
    name: str


Check = Callable[[str], list[str]]


def _shaped(pattern: str, longest: int, words: str) -> Check:
    compiled = re2.compile(f"^(?:{pattern})$")

    def check(text: str) -> list[str]:
        found = [f"must be no more than {longest} characters"] if len(text) > longest else []
        return found if compiled.match(text) else [*found, f"must be {words}, for which {pattern} is the pattern"]

    return check


def _prefix(check: Check) -> Check:
    # a generated suffix follows: the dash before it is no fault
    return lambda text: check(text[:-1] + "a" if text.endswith("-") else text)


_label = _shaped(_LABEL, _MAX_LABEL, "a lower-case DNS label")
_subdomain = _shaped(f"{_LABEL}(\\.{_LABEL})*", _MAX_SUBDOMAIN, "a lower-case DNS subdomain")
_label_1035 = _shaped(_LABEL_1035, _MAX_LABEL, "a lower-case DNS label that starts with a letter")
_name = _shaped(
    _NAME, _MAX_LABEL, "a name of letters, digits, '-', '_' and '.' that starts and ends with one of the first two"
)


def _qualified(text: str) -> list[str]:
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return ["must be a name with at most one DNS subdomain and a '/' before it"]
    return [*(_subdomain(prefix) if slash else []), *_name(name)]


def _parsed(parse: Callable[[str], object], words: str) -> Check:
    def check(text: str) -> list[str]:
        try:
            parse(text)
        except EvaluationError:
            return [words]
        return []

    return check


_CHECKS: dict[str, Check] = {
    "dns1123Label": _label,
    "dns1123Subdomain": _subdomain,
    "dns1035Label": _label_1035,
    "qualifiedName": _qualified,
    "dns1123LabelPrefix": _prefix(_label),
    "dns1123SubdomainPrefix": _prefix(_subdomain),
    "dns1035LabelPrefix": _prefix(_label_1035),
    "labelValue": lambda text: _name(text) if text else [],
    "uri": _parsed(parse_url, "must be an absolute URI or an absolute path"),
    "uuid": _shaped(_UUID, 36, "a UUID"),
    "byte": _parsed(decode_base64, "must be base64"),
    "date": _parsed(lambda text: parse_timestamp(f"{text}T00:00:00Z"), "must be a date as in 2006-01-02"),
    "datetime": _parsed(parse_timestamp, "must be a time as in 2006-01-02T15:04:05Z"),
}


def _named(name: str) -> Optional:
    return Optional(Format(name), True) if name in _CHECKS else NONE


def _validate(of: Format, text: str) -> Optional:
    """None when ``text`` has the form, else what is wrong with it."""
    faults: list[CelValue] = [*_CHECKS[of.name](text)]
    return Optional(faults, True) if faults else NONE


def _constant(name: str) -> Overload:
    found = Format(name)
    return function(f"format.{name}", (), FORMAT, lambda: found)


OVERLOADS: tuple[Overload, ...] = (
    function("format.named", (STRING,), OptionalType(FORMAT), _named),
    *map(_constant, _CHECKS),
    member("validate", (FORMAT, STRING), OptionalType(ListType(STRING)), _validate),
)
