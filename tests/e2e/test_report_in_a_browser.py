"""The report as a browser shows it: the pictures are drawn, nothing is complained of, and nobody else is asked."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import BrowserMissing, Page, pixels
from tests.support.incident import write_incident

DONE, FAILED = (0x4F, 0x9D, 0x69), (0xC8, 0x48, 0x4C)


@pytest.fixture
def page() -> Iterator[Page]:
    try:
        found = Page()
    except BrowserMissing as error:
        pytest.skip(str(error))
    with found:
        yield found


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "report.html"
    database = write_incident(f"sqlite:///{tmp_path}/log.db")
    command = [sys.executable, "-m", "kro_es.cli.history", "--database", database, "report", "webshop"]
    span = ["--since", "2026-03-02T09:00:00Z", "--until", "2026-03-02T13:00:00Z"]
    subprocess.run([*command, *span, "-o", str(file)], check=True, capture_output=True, timeout=60)
    return file


def test_the_report_is_drawn_and_asks_for_nothing(page: Page, report: Path) -> None:
    page.open(report)
    assert page.said() == []
    assert [url for url in page.requests() if not url.startswith("data:")] == [report.as_uri()]

    # the graph: a picture that was decoded, with boxes and words on it
    assert page.value("[...document.images].map(one => one.complete && one.naturalWidth > 100)") == [True]
    assert len(pixels(page.screenshot("img"))[2]) > 20
    # the rollouts: a bar for each, in the colour of its state
    bars = page.value(
        "[...document.querySelectorAll('svg rect:not(.gap)')].map(one => one.getBoundingClientRect().width)"
    )
    assert len(bars) == 4
    assert min(bars) > 1
    assert {DONE, FAILED} <= pixels(page.screenshot("svg.timeline"))[2]

    wider = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth).length"
    assert page.value(wider) == 0, "no table is cut off"
    width, height = struct.unpack(">II", page.screenshot()[16:24])
    assert (width, height > 1000) == (1100, True)


def test_a_page_that_is_not_like_that_is_noticed(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    file.write_text(f"<html>{policy}<img src='file:///nowhere.png'><script>1</script></html>")
    page.open(file)
    assert len(page.said()) == 2
    file.write_text("<html><img src='nowhere.png'></html>")
    page.open(file)
    assert page.requests()[-1].endswith("/nowhere.png")
    assert page.value("document.images[0].naturalWidth") == 0
