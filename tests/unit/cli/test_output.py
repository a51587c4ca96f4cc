"""What objects say in an answer is only shown: it moves no cursor, and what looks like a time need not be one."""

from __future__ import annotations

import orjson
import pytest

from kro_es.cli.output import BOLD, Format, Screen
from kro_es.cli.spoken import perform
from kro_es.history.source import Answer
from tests.support.incident import END

ESCAPES = "\x1b]0;owned\x07 \x1b[2J \x9b2J \x08\r"


def shown(capsys: pytest.CaptureFixture[str], screen: Screen) -> str:
    screen.flush()
    out, err = capsys.readouterr()
    return out + err


def test_a_message_of_an_object_does_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(END)
    screen.line(f"waits for it: {ESCAPES}")
    screen.branch("   ", f"seen {ESCAPES}", "1 s later")
    screen.answer(Answer([{"message": ESCAPES}], notes=(f"pinned: {ESCAPES}",)), Format.TABLE)
    assert not set("\x1b\x07\x9b\x08\r") & set(shown(capsys, screen))


def test_a_line_keeps_the_styles_we_gave_it(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(END)
    screen.line(f"\x1b[{BOLD}mwebshop\x1b[0m\n\tready")
    assert shown(capsys, screen) == f"\x1b[{BOLD}mwebshop\x1b[0m\n\tready\n"


def test_programs_get_exactly_what_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    for form in (Format.CSV, Format.JSON, Format.YAML):
        screen = Screen(END)
        screen.answer(Answer([{"message": "a\x1bb"}]), form)
        assert ("a\x1bb" if form is Format.CSV else "\\") in shown(capsys, screen)


@pytest.mark.parametrize("text", ["2026-99-99T99:99:99.000Z", "0001-01-01T00:00:00.000Z", "no time"])
def test_what_only_looks_like_a_time_is_told_as_it_is(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for relative in (False, True):
        screen = Screen(END, relative=relative)
        screen.answer(Answer([{"value": text}]), Format.TABLE)
        perform(orjson.dumps({"line": f"since \x02{text}\x03"}), screen)
        assert "since " in shown(capsys, screen)
