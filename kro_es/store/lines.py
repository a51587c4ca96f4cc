"""JSON, a line each, in a compressed file: a new one that is whole or not there; one of others, read without trust in it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import orjson
import zstandard

from kro_es.api.objects import JsonObject, JsonValue
from kro_es.errors import UserError

LONGEST = 64 << 20
"""Bytes of a line; an object of Kubernetes is 3 MiB at most. A small file can unpack to what fills the memory."""
FAULTS = (zstandard.ZstdError, LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""What a changed file leads to: a line that is none, a part that is missing or of another kind, a number too large."""
_LEVEL = 6


@contextmanager
def written(path: Path) -> Iterator[Callable[[JsonValue], None]]:
    """Takes one line after the other into a new file, readable by its owner only; what goes wrong leaves none.

    It has its name when it is whole: who is killed leaves a ``.partial``, which the next try begins anew. Raises
    UserError when there is a file of that name, or none can be made.
    """
    if path.exists():
        raise UserError(f"{path} is there already")
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with file, zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as packed:

            def put(value: JsonValue) -> None:
                packed.write(orjson.dumps(value) + b"\n")

            yield put
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read(file: BinaryIO, most: int | None = None) -> Iterator[JsonObject]:
    """One line after the other. Raises one of FAULTS for a file that is none; ``most``: bytes of all lines together."""
    size = 0
    with zstandard.ZstdDecompressor().stream_reader(file) as plain:
        reader = io.BufferedReader(plain, 1 << 20)
        while line := reader.readline(LONGEST):
            size += len(line)
            if len(line) == LONGEST or (most is not None and size > most):
                raise ValueError("it unpacks to more than such a file can hold")
            yield orjson.loads(line)
