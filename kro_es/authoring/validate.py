"""Definitions in files to findings: everything that is wrong, in the order it is written."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from kro_es.api.metadata import GROUP
from kro_es.api.objects import Gvk, JsonValue
from kro_es.authoring import findings
from kro_es.authoring.findings import ERROR, WARNING, Finding, code_of
from kro_es.authoring.instances import problems, with_defaults
from kro_es.authoring.kinds import shipped
from kro_es.authoring.locate import locate
from kro_es.authoring.project import KIND, Entry, Project, compile_all
from kro_es.authoring.refusals import own_refusals, refusals
from kro_es.authoring.sources import Unreadable
from kro_es.authoring.tree import Node, Place, follow
from kro_es.errors import DefinitionFault
from kro_es.graph import fieldpath
from kro_es.schema.openapi import KindSchema, Schema

"""The name is the value of a label on every revision."""


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to ``validate``."""

    findings: tuple[Finding, ...]
    definitions: int

    @property
    def readable(self) -> bool:
        return not any(finding.code in findings.UNREADABLE for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 valid, 1 errors, 2 something could not be read."""
        return 2 if not self.readable else 1 if self.errors else 0

    @property
    def errors(self) -> int:
        return sum(finding.severity == ERROR for finding in self.findings)


def validate(project: Project, kinds: Mapping[Gvk, KindSchema]) -> Report:
    """Compiles every definition of the project against ``kinds`` and those they make for each other."""
    compile_all(project.entries, kinds)
    found = [_unreadable(item) for item in project.unreadable]
    for entry in project.entries:
        own = [*_keys(entry, entry.document.root, ""), *_unknown_fields(entry), *_name(entry), *_faults(entry)]
        told = {finding.path for finding in own}
        own += [finding for finding in _refused(entry) if finding.path not in told]
        found += sorted(dict.fromkeys(own), key=lambda finding: (finding.line or 0, finding.column or 0))
    found += _duplicates(project.entries)
    found += _instances(project)
    if not (project.entries or project.unreadable):
        files = ", ".join(project.files) or "what was given"
        found.append(Finding(files, None, ERROR, findings.NO_DEFINITION, f"no {KIND} here"))
    return Report(tuple(found), len(project.entries))


def _unreadable(item: Unreadable | tuple[str, Exception]) -> Finding:
    if isinstance(item, Unreadable):
        return Finding(item.name, None, ERROR, findings.FILE, item.why)
    file, error = item
    place = getattr(error, "place", Place(1, 1))
    return Finding(file, None, ERROR, findings.YAML, str(error), line=place.line, column=place.column)


# -- one definition


def _faults(entry: Entry) -> Iterator[Finding]:
    """Shapes first: what the compile says about a value of the wrong shape only repeats it."""
    broken = [fault.path for fault in entry.shape_faults if fault.path]
    for fault in entry.shape_faults:
        code = "field-required" if fault.message.endswith("is required") else "field-type"
        yield _finding(entry, fault, code)
    for fault in entry.faults:
        finding = _finding(entry, fault, code_of(fault.message))
        if not any(finding.path is not None and finding.path.startswith(path) for path in broken):
            yield finding
    for fault in entry.beyond_kro:
        told = replace(fault, message=f"kro would refuse it: {fault.message}")
        yield replace(_finding(entry, told, code_of(fault.message)), severity=WARNING, code=findings.BEYOND_KRO)


def _refused(entry: Entry) -> Iterator[Finding]:
    """What only the API server looks at."""
    spec = _own_kind().property("spec")
    assert spec is not None
    found = list(own_refusals(entry.document.root.value, spec.resolved))
    if entry.graph is not None and not entry.shape_faults:
        found += refusals(entry.definition, entry.graph.crd)
    return (_finding(entry, fault, code) for code, fault in found)


def _own_kind() -> Schema:
    return shipped().kinds[Gvk(GROUP, "v1alpha1", KIND)].schema


def _finding(entry: Entry, fault: DefinitionFault, code: str) -> Finding:
    located = locate(fault, entry.document, code)
    return Finding(
        entry.file,
        entry.document.number,
        ERROR,
        code,
        fault.message,
        fault.resource,
        located.path or None,
        fault.expression,
        located.place.line,
        located.place.column,
    )


def _name(entry: Entry) -> Iterator[Finding]:
    """What the API server would refuse."""
    if not entry.definition.name:
        fault = DefinitionFault("metadata.name is required", path="metadata.name")
        yield _finding(entry, fault, "field-required")


def _keys(entry: Entry, node: Node, path: str) -> Iterator[Finding]:
    """Unquoted words that YAML reads as a boolean: nobody means ``true`` who writes ``y`` for a name."""
    for key, text in node.written.items():
        if key in ("true", "false"):
            below = fieldpath.join(path, key)
            message = f'the key {text} is read as the boolean "{key}"; quote it if {text} is meant'
            place = node.keys[key]
            number = entry.document.number
            yield Finding(
                entry.file, number, WARNING, "yaml-key", message, path=below, line=place.line, column=place.column
            )
    for step in node.steps():
        child = node.child(step)
        assert child is not None
        yield from _keys(entry, child, fieldpath.join(path, step))


def _unknown_fields(entry: Entry) -> Iterator[Finding]:
    """Members no version of the definition's own kind has: the API server refuses them, or drops them."""
    for path, names, node in _unknown(entry.document.root, _own_kind(), ""):
        near = difflib.get_close_matches(path.rpartition(".")[2], names, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        yield Finding(
            entry.file,
            entry.document.number,
            ERROR,
            findings.FIELD_UNKNOWN,
            f'unknown field "{path}"{hint}',
            path=path,
            line=node.line,
            column=node.column,
        )


def _unknown(node: Node, schema: Schema, path: str) -> Iterator[tuple[str, list[str], Place]]:
    if schema.preserve_unknown or schema.additional is not None:
        return
    names = dict(schema.properties())
    for name, member in node.members.items():
        below = fieldpath.join(path, name)
        if name in names:
            yield from _unknown(member, names[name], below)
        elif names:
            yield below, list(names), node.keys[name]
    if schema.items is not None:
        for index, item in enumerate(node.items):
            yield from _unknown(item, schema.items, fieldpath.join(path, index))


# -- between definitions


def _duplicates(entries: list[Entry]) -> Iterator[Finding]:
    names: dict[str, Entry] = {}
    kinds: dict[str, Entry] = {}
    for entry in entries:
        for seen, key, path in (
            (names, entry.definition.name, "metadata.name"),
            (kinds, entry.gvk.group_kind if entry.definition.schema.kind else "", "spec.schema.kind"),
        ):
            if not key:
                continue
            first = seen.setdefault(key, entry)
            if first is not entry:
                text = f'"{key}" is also defined in {first.file}, document {first.document.number}'
                yield _finding(entry, DefinitionFault(text, path=path), "duplicate-definition")


# -- instances beside their definitions


def _instances(project: Project) -> Iterator[Finding]:
    """What the API server would refuse of the instances that lie beside a valid definition."""
    graphs = {(entry.gvk.api_version, entry.gvk.kind): entry.graph for entry in project.entries}
    for file, document in project.others:
        value = document.root.value
        graph = graphs.get(_kind_of(value))
        if graph is None:
            continue
        schema = graph.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec = with_defaults({"spec": value.get("spec", {})}, {"properties": {"spec": schema}})["spec"]
        for problem in problems(spec, schema, "spec"):
            found = follow(document.root, problem.path)
            place = found.key if found.complete and found.key else found.place
            yield Finding(
                file,
                document.number,
                ERROR,
                "instance",
                str(problem),
                path=problem.path,
                line=place.line,
                column=place.column,
            )


def _kind_of(value: JsonValue) -> tuple[str, str]:
    return (str(value.get("apiVersion")), str(value.get("kind"))) if isinstance(value, dict) else ("", "")
