"""Writes docs/functions.md, the page of the functions expressions may call."""

from __future__ import annotations

from pathlib import Path

from kro_es.cel.reference import page

PAGE = Path(__file__).parent.parent.parent / "docs" / "functions.md"

if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
