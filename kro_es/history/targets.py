"""What a question is about, as kubectl users name it: KIND/NAME, KIND.group/NAME, a definition's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kro_es.api import metadata
from kro_es.api.near import meant
from kro_es.api.objects import ObjectRef
from kro_es.errors import UserError
from kro_es.history.source import History

_SHORT = {
    "rgd": "resourcegraphdefinition", "cm": "configmap", "deploy": "deployment", "svc": "service", "po": "pod",
    "ns": "namespace", "pvc": "persistentvolumeclaim", "sa": "serviceaccount", "sts": "statefulset",
    "ds": "daemonset", "ing": "ingress", "crd": "customresourcedefinition",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RevisionName:
    """``RGD@N``."""

    definition: str
    number: int

    @classmethod
    def parse(cls, text: str) -> RevisionName:
        name, _, number = text.rpartition("@")
        if not name or not number.isdigit():
            raise UserError(f"{text!r} is no revision: write it as NAME@NUMBER, e.g. webapp@2")
        return cls(name, int(number))


@dataclass(frozen=True, slots=True)
class Target:
    """One object the log knows, alive or not."""

    ref: ObjectRef
    uid: str
    """Of the newest object of that name."""
    is_instance: bool

    @property
    def is_definition(self) -> bool:
        return (self.ref.group, self.ref.kind) == (metadata.GROUP, metadata.DEFINITION_KIND)

    @property
    def name(self) -> str:
        where = f"{self.ref.namespace}/" if self.ref.namespace else ""
        return f"{self.ref.kind.lower()} {where}{self.ref.name}"

    @property
    def stream(self) -> str:
        """Of the object's own observations."""
        return f"object/{self.ref.key}"


def find(history: History, text: str, namespace: str | None = None) -> Target:
    """The one object meant; a name alone is a definition. Raises UserError with what there is instead."""
    kind, slash, name = text.partition("/")
    if not slash:
        kind, name, namespace = metadata.DEFINITION_KIND, text, None
    if not kind or not name or "/" in name:
        raise UserError(f"{text!r} names nothing: write KIND/NAME, KIND.group/NAME or the name of a definition")
    fitting = [row for row in _known(history, "j.name = ?", name) if _is_kind(row.ref, kind)]
    if not fitting:
        raise UserError(_unknown(text, _known(history, "j.name <> ''"), kind if slash else ""))
    here = [row for row in fitting if namespace is None or row.ref.namespace in ("", namespace)]
    if not here:
        places = ", ".join(sorted({row.ref.namespace for row in fitting}))
        raise UserError(f"{text} is not in namespace {namespace}; it is in {places}")
    refs = {row.ref for row in here}
    if len(refs) > 1:
        raise UserError(f"{text} may be any of {_told(refs)}; {_remedy(refs)}")
    return here[-1]


def definition(history: History, name: str) -> str:
    """uid of the newest definition of that name. Raises UserError with the nearest names."""
    rows = history.rows("SELECT key, definition FROM p_definitions WHERE definition = ?", (name,))
    if rows:
        newest = "SELECT definition_uid FROM p_revisions WHERE definition = ? ORDER BY position DESC LIMIT 1"
        found = history.rows(newest, (name,))
        return str(found[0]["definition_uid"] if found else rows[-1]["key"])
    names = [str(row["definition"]) for row in history.rows("SELECT definition FROM p_definitions")]
    raise UserError(f"no definition {name!r} in this log{meant(name, names)}")


def kind_of(history: History, text: str) -> str:
    """The kind meant, also by a plural or a short name. Raises UserError with the nearest kinds."""
    rows = history.rows("SELECT DISTINCT api_group, kind FROM subjects WHERE kind <> ''")
    known = [ObjectRef(str(row["api_group"]), str(row["kind"]), "", "") for row in rows]
    fitting = {ref.kind for ref in known if _is_kind(ref, text)}
    if not fitting:
        names = {ref.kind.lower() for ref in known}
        raise UserError(f"nothing of kind {text!r} in this log{meant(text.lower(), names)}")
    return min(fitting)


def known(history: History, columns: Mapping[str, str], actor: str) -> None:
    """Raises UserError for the first value (empty: any) that nothing in the log has, with the nearest there are."""
    for column, value in columns.items():
        found = {str(row["v"]) for row in history.rows(f"SELECT DISTINCT {column} AS v FROM subjects")} if value else ()  # noqa: S608 our own words
        if value and value not in found:
            raise UserError(f"nothing of {column} {value!r} in this log{meant(value, found)}")
    names = {str(row["name"]) for row in history.rows("SELECT name FROM actors")} if actor else set()
    if actor and actor not in names:
        raise UserError(f"nothing by {actor!r} in this log{meant(actor, names)}")


def of_kind(history: History, group: str, kind: str) -> list[Target]:
    """Every object of a kind that was ever seen, alive or not, by name; of each name the newest."""
    known = _known(history, "j.name <> '' AND j.api_group = ? AND j.kind = ?", group, kind)
    return [found for _, found in sorted({row.ref: row for row in known}.items())]


def instances(history: History, kind: str) -> list[Target]:
    """Every instance of a kind, alive or not; of each name the newest. Raises UserError with the nearest kinds."""
    known = [one for one in _known(history, "j.name <> ''") if one.is_instance]
    fitting = {one.ref: one for one in known if _is_kind(one.ref, kind)}
    groups = {ref.group_kind for ref in fitting}
    if len(groups) > 1:
        raise UserError(f"{kind} may be any of {', '.join(sorted(groups))}; say which with KIND.group")
    if not fitting:
        names = {one.ref.kind.lower() for one in known}
        raise UserError(f"no instances of kind {kind!r} in this log{meant(kind.lower(), names)}")
    return [found for _, found in sorted(fitting.items())]


def maker(history: History, kind: str) -> tuple[Target, str]:
    """The definition that makes instances of a kind now, and ``GROUP/KIND``. Raises UserError with the nearest kinds."""
    sql = (
        "SELECT d.key, d.definition, r.instance_group, r.instance_kind FROM p_definitions d JOIN p_revisions r"
        " ON r.definition_uid = d.key AND r.number = d.active JOIN p_objects o ON o.uid = d.key ORDER BY d.definition"
    )
    known = [
        (row, ObjectRef(str(row["instance_group"]), str(row["instance_kind"]), "", "")) for row in history.rows(sql)
    ]
    fitting = [(row, ref) for row, ref in known if _is_kind(ref, kind)]
    if len({ref for _, ref in fitting}) > 1:
        raise UserError(
            f"{kind} may be any of {', '.join(sorted(ref.group_kind for _, ref in fitting))}; say which with KIND.group"
        )
    if not fitting:
        names = {ref.kind.lower() for _, ref in known}
        raise UserError(f"no definition makes {kind!r} in this log{meant(kind.lower(), names)}")
    row, ref = fitting[0]
    where = ObjectRef(metadata.GROUP, metadata.DEFINITION_KIND, "", str(row["definition"]))
    return Target(where, str(row["key"]), is_instance=False), f"{ref.group}/{ref.kind}"


def _known(history: History, condition: str, *values: str) -> list[Target]:
    sql = (
        "SELECT j.api_group, j.kind, j.namespace, j.name, j.uid, s.id AS stream FROM subjects j"  # noqa: S608
        f" LEFT JOIN streams s ON s.name = 'instance/' || j.uid WHERE {condition} AND j.uid <> '' ORDER BY j.id"
    )
    return [
        Target(
            ObjectRef(str(row["api_group"]), str(row["kind"]), str(row["namespace"]), str(row["name"])),
            str(row["uid"]),
            row["stream"] is not None,
        )
        for row in history.rows(sql, values)
    ]


def _is_kind(ref: ObjectRef, text: str) -> bool:
    name, _, group = text.lower().partition(".")
    name, kind = _SHORT.get(name, name), ref.kind.lower()
    several = {kind, f"{kind}s", f"{kind}es", f"{kind[:-1]}ies"}
    return name in several and group in ("", ref.group)


def _unknown(text: str, known: Iterable[Target], kind: str) -> str:
    if not kind:
        names = [row.ref.name for row in known if row.is_definition]
        return f"no definition {text!r} in this log{meant(text, names)}"
    names = [f"{row.ref.kind.lower()}/{row.ref.name}" for row in known]
    return f"nothing called {text!r} in this log{meant(text.lower(), names)}"


def _told(refs: Iterable[ObjectRef]) -> str:
    return ", ".join(
        f"{ref.group_kind.lower()}/{ref.name} in {ref.namespace or 'no namespace'}" for ref in sorted(refs)
    )


def _remedy(refs: set[ObjectRef]) -> str:
    places = len({ref.namespace for ref in refs}) > 1
    return "say which with -n NAMESPACE" if places else "say which with KIND.group/NAME"
