"""The report is one file that loads and runs nothing, tells what happened, and escapes what others wrote."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kro_es.store.engine import open_engine
from tests.support.incident import Incident, definition
from tests.support.recorder import Recorder, manager
from tests.unit.history.conftest import Ask


class Page(HTMLParser):
    """Texts, tags and every address of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link", "img", "line", "rect"):
            self.open.append(tag)
        self.addresses += [
            str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data")
        ]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.cells.append(data.strip())


@pytest.fixture
def page(ask: Ask, tmp_path: Path) -> str:
    file = tmp_path / "report.html"
    said = ask("report", "webshop", "--since", "2026-03-02T09:00:00Z", "-o", str(file))
    assert said.code == 0, said.err
    text = file.read_text()
    assert said.out == f"{file}: {len(text.encode())} bytes\n"
    return text


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    found = Page(page)
    assert found.open == [], "every tag is closed"
    assert not {"script", "iframe", "link", "object", "embed", "form"} & set(found.tags)
    assert [address[:26] for address in found.addresses] == ["data:image/svg+xml;base64,"]
    assert not re.search(r"@import|url\(", page)
    assert "default-src 'none'" in page


def test_it_tells_rollouts_failures_refusals_drift_and_gaps(page: str) -> None:
    cells = Page(page).cells
    for expected in (
        "webshop@1", "webshop@4", "checkout is down", "dana", "kubectl-edit", "spec.replicas", "restart",
        'undeclared reference to "deploymnt"', "write of Deployment blog refused: not signed", "3 of 3",
    ):  # fmt: skip
        assert expected in cells or any(expected in cell for cell in cells), expected
    assert any(cell.startswith("nobody watched") for cell in cells)


def test_the_graph_is_a_picture_of_its_nodes(page: str) -> None:
    picture = base64.b64decode(re.findall(r"base64,([A-Za-z0-9+/=]+)", page)[0])
    texts = [text for found in ElementTree.fromstring(picture).iter() for text in (found.text,) if text]
    assert {"config", "deployment"} <= set(texts)


def test_the_bars_lie_within_the_picture_in_the_order_of_time(page: str) -> None:
    bars = re.findall(r'<rect class="(done|failed|rolling|none)" x="(\d+)" y="\d+" width="(\d+)"', page)
    assert [state for state, _, _ in bars] == ["done", "done", "failed", "done"]
    places = [int(x) for _, x, _ in bars]
    assert places == sorted(places)
    assert all(int(x) >= 120 and int(x) + int(width) <= 960 for _, x, width in bars)


def test_only_the_span_asked_for_is_in_it(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    ask("report", "webshop", "--since", "2026-03-02T11:15:00Z", "-o", str(file))
    cells = Page(file.read_text()).cells
    assert "webshop@4" in cells
    assert "webshop@3" not in cells
    assert not any("deploymnt" in cell for cell in cells)


def test_what_others_wrote_cannot_become_markup(ask: Ask, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    recorder = Recorder(open_engine(url))
    incident = Incident(recorder)
    incident.instances = incident.instances[:1]
    evil = manager("<script>alert(1)</script>")
    incident.roll_out(1, recorder.define(definition("1.0"), evil, 1, reason="<img src=x onerror=y>"), new=True)
    file = tmp_path / "report.html"
    said = ask("report", "webshop", "-o", str(file), database=url)
    assert said.code == 0, said.err
    found = Page(file.read_text())
    assert "script" not in found.tags
    assert "<script>alert(1)</script>" in found.cells


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("webshp", "-o", "x"), "did you mean webshop?"),
        (("deploy/blog", "-n", "prod", "-o", "x"), "No such option"),
        (("deploy/blog", "-o", "x"), "deployment prod/blog is no definition"),
        (("webshop", "-o", "/nowhere/x.html"), "/nowhere/x.html cannot be written: No such file or directory"),
        (("webshop", "-o", "x", "--since", "1h", "--until", "2h"), "--since 1h is not before --until 2h"),
    ],
)
def test_a_mistake_writes_nothing(question: tuple[str, ...], answer: str, ask: Ask) -> None:
    said = ask("report", *question)
    assert said.code == 1
    assert answer in said.err
    assert not Path("x").exists()
