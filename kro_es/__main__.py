"""``python -m kro_es`` is ``kro-es``."""

from __future__ import annotations

from kro_es.cli.operator import main

main()
