"""YAML text to documents: the values kubectl would send, every one of them with its line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import yaml

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.authoring.scalar import ScalarError, key_of, value_of
from kro_es.authoring.tree import Node, Place
from kro_es.errors import UserError

MAX_DEPTH = 100
MAX_VALUES = 1_000_000
"""With aliases followed: a short text may stand for a huge value."""
_TEMPLATED = "; {{ }} is a template and no YAML yet: render it first, e.g. with helm template"
_MERGE = "<<"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class _Mark(Protocol):
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class YamlError(UserError):
    """A text that is no YAML, or YAML that has no JSON form; ``place`` is in the file."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file; ``number`` counts from 1, empty documents left out."""

    number: int
    root: Node
    lines: tuple[str, ...]
    """Of the whole file."""


def lines_of(text: str) -> tuple[str, ...]:
    return tuple(_BREAK.split(text))


def read(text: str) -> Iterator[Document | YamlError]:
    """Each document, or why it cannot be read; one that cannot does not hide the others."""
    text = text.removeprefix("\ufeff")
    lines = lines_of(text)
    number, above = 0, 0
    for chunk in chunks(text):
        try:
            # all of it first: an error may only show behind what looks like a whole document
            for root in list(_Composer(chunk, above).documents()):
                number += 1
                yield Document(number, root, lines)
        except YamlError as error:
            # the parser places the end of a text below its last line
            end = Place(len(lines), len(lines[-1]) + 1)
            yield YamlError(error.message, min(error.place, end))
        above += len(_BREAK.findall(chunk))


def chunks(text: str) -> Iterator[str]:
    """Documents by their separators; a directive belongs to the document below it."""
    begin = 0
    for match in _SEPARATOR.finditer(text):
        if match.start() and not _DIRECTIVE.search(text, begin, match.start()):
            yield text[begin : match.start()]
            begin = match.start()
    yield text[begin:]


# -- composing


class _Composer:
    """Parser events to nodes; the resolver of PyYAML is not used: it reads scalars differently."""

    def __init__(self, text: str, above: int) -> None:
        self._text = text
        self._above = above
        self._anchors: dict[str, Node] = {}
        self._values = 0

    def documents(self) -> Iterator[Node]:
        """Raises YamlError."""
        try:
            events = iter(yaml.parse(self._text, Loader=yaml.CSafeLoader))
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    self._anchors.clear()
                    first = next(events)
                    empty = isinstance(first, yaml.ScalarEvent) and not (first.value or first.style or first.tag)
                    root = self._node(first, events, 0)
                    if not empty:
                        yield root
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise YamlError(_problem(error) + self._why(mark), self._place(mark)) from None
        except yaml.reader.ReaderError as error:
            raise YamlError(f"this character cannot be in YAML: {error.reason}", self._unreadable()) from None

    def _why(self, mark: _Mark | None) -> str:
        """What people paste that looks like YAML."""
        lines = self._text.splitlines()
        if mark is None or mark.line >= len(lines):
            return ""
        if lines[mark.line][: mark.column + 1].endswith("\t"):
            return ": it is a tab, and YAML is indented with spaces"
        return _TEMPLATED if any("{{" in line for line in lines[max(0, mark.line - 1) : mark.line + 1]) else ""

    def _unreadable(self) -> Place:
        """Of the first character that YAML does not allow."""
        found = yaml.reader.Reader.NON_PRINTABLE.search(self._text)
        before = _BREAK.split(self._text[: found.start()] if found else "")
        return Place(self._above + len(before), len(before[-1]) + 1)

    def _place(self, mark: _Mark | None) -> Place:
        return Place(self._above + 1, 1) if mark is None else Place(self._above + mark.line + 1, mark.column + 1)

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        start = self._place(event.start_mark)
        self._count(start, 1)
        if depth > MAX_DEPTH:
            raise YamlError(f"nested deeper than {MAX_DEPTH} levels", start)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, start)
        node = Node(None, start, self._place(event.end_mark))
        if isinstance(event, yaml.ScalarEvent):
            node.style = event.style or None
            node.value = self._scalar(event, start)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._sequence(node, events, depth)
        else:
            self._mapping(node, events, depth)
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _count(self, place: Place, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise YamlError(f"aliases make more than {MAX_VALUES} values of this document", place)

    def _alias(self, name: str | None, place: Place) -> Node:
        found = self._anchors.get(name or "")
        if found is None:
            raise YamlError(f"no anchor &{name} above this alias", place)
        self._count(place, _size(found.value, MAX_VALUES - self._values))
        return found

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> JsonValue:
        try:
            return value_of(event.value, _tag(event), plain=event.implicit[0])
        except ScalarError as error:
            raise YamlError(str(error), place) from None

    def _sequence(self, node: Node, events: Iterator[yaml.Event], depth: int) -> None:
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            node.items.append(self._node(event, events, depth + 1))
        node.value = [item.value for item in node.items]

    def _mapping(self, node: Node, events: Iterator[yaml.Event], depth: int) -> None:
        own: dict[str, Place] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            place = self._place(event.start_mark)
            if _is_merge(event):
                _merge(node, self._node(next(events), events, depth + 1), place)
                continue
            key = self._key(event, place)
            if key in own:
                raise YamlError(f"duplicate key {key!r}: it is already in line {own[key].line}", place)
            own[key] = node.keys[key] = place
            if isinstance(event, yaml.ScalarEvent) and event.value != key:
                node.written[key] = event.value
            node.members[key] = self._node(next(events), events, depth + 1)
        value: JsonObject = {name: member.value for name, member in node.members.items()}
        node.value = value

    def _key(self, event: yaml.Event, place: Place) -> str:
        if isinstance(event, yaml.AliasEvent):
            found = self._alias(event.anchor, place).value
            if isinstance(found, str):
                return found
        if not isinstance(event, yaml.ScalarEvent):
            raise YamlError(f"a key must be a text, a number or a boolean{self._why(event.start_mark)}", place)
        try:
            key = key_of(event.value, _tag(event), plain=event.implicit[0])
        except ScalarError as error:
            raise YamlError(str(error), place) from None
        if event.anchor:
            self._anchors[event.anchor] = Node(key, place, self._place(event.end_mark), event.style or None)
        return key


def _tag(event: yaml.ScalarEvent) -> str | None:
    tag: str | None = event.tag
    return tag


def _is_merge(event: yaml.Event) -> bool:
    if not isinstance(event, yaml.ScalarEvent) or event.value != _MERGE:
        return False
    return event.tag == _MERGE_TAG or (event.tag is None and bool(event.implicit[0]))


def _merge(node: Node, given: Node, place: Place) -> None:
    """As go-yaml v2: the merged members replace those above, are replaced by those below; the first of a list wins."""
    sources = given.items[::-1] if isinstance(given.value, list) else [given]
    for source in sources:
        if not isinstance(source.value, dict):
            raise YamlError("<< merges a map or a list of maps", place)
        node.members.update(source.members)
        node.keys.update(source.keys)


def _size(value: JsonValue, most: int) -> int:
    """How many values there are, counted no further than ``most``."""
    waiting, found = [value], 0
    while waiting and found <= most:
        last = waiting.pop()
        found += 1
        if isinstance(last, dict):
            waiting += last.values()
        elif isinstance(last, list):
            waiting += last
    return found


def _problem(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return ", ".join(parts) or "not YAML"
