"""Files, folders and standard input become texts, and what cannot be had is told."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from kro_es.authoring.crds import crd_kinds
from kro_es.authoring.objects import objects, only_object
from kro_es.authoring.sources import Source, Unreadable, gather


def test_a_folder_gives_its_yaml_sorted_and_each_file_once(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json", "d.txt", ".hidden.yaml", "sub/e.yaml", ".git/f.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x: 1")
    found = list(gather([str(tmp_path / "b.yml"), str(tmp_path)]))
    names = [Path(item.name).relative_to(tmp_path).as_posix() for item in found]
    assert names == ["b.yml", "a.yaml", "c.json", "sub/e.yaml"]


def test_what_cannot_be_had_does_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"a: \xff")
    (tmp_path / "good.yaml").write_text("a: 1")
    missing, bad, good = gather([str(tmp_path / "missing.yaml"), str(tmp_path)])
    assert isinstance(missing, Unreadable)
    assert missing.why == "No such file or directory"
    assert isinstance(bad, Unreadable)
    assert bad.why == "not UTF-8: byte 3 is 0xff"
    assert isinstance(good, Source)


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ü: 1".encode())))
    assert list(gather(["-"])) == [Source("-", "ü: 1")]


SPEC = "{group: g.io, scope: Namespaced, names: {kind: K, plural: ks}, versions: [{name: v1}]}"
CRD = f"{{kind: CustomResourceDefinition, spec: {SPEC}}}"


def test_crds_are_found_among_other_objects_and_in_lists(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        f"kind: Pod\n---\n{CRD}\n---\nkind: List\nitems: [{CRD.replace('kind: K', 'kind: L')}, 3]\n---\n- 1\n"
    )
    found = crd_kinds([str(tmp_path)])
    assert sorted(str(gvk) for gvk in found) == ["g.io/v1, Kind=K", "g.io/v1, Kind=L"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", r"x\.yaml:1:5: "), ("kind: CustomResourceDefinition", "not a usable CustomResourceDefinition")],
)
def test_a_crd_that_cannot_be_used_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(Unreadable, match=message):
        crd_kinds([str(tmp_path)])
    with pytest.raises(Unreadable):
        crd_kinds([str(tmp_path / "missing")])


def test_one_object_means_one(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("kind: A\n---\nkind: B\n")
    assert [obj["kind"] for obj in objects([str(file)])] == ["A", "B"]
    with pytest.raises(Unreadable, match="one object is needed, there are 2"):
        only_object(str(file))
