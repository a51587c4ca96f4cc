"""Bytes of a payload to stored bytes and back; ``encoding`` says everything needed to read them again."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import zstandard

from kro_es.store.errors import LogDamaged
from kro_es.store.sql import run

if TYPE_CHECKING:
    from sqlalchemy import Connection

COMPRESSED = 1
DELTA = 2
LATE = 4
"""The event shows an older state than the head of its stream and never replaces it."""
DICTIONARY = 8
"""What is above the flags is the number of the dictionary."""
_LEVEL = 3


def shipped_dictionary() -> bytes:
    """Typical Kubernetes JSON; a new database is created with it."""
    return resources.files("kro_es.store").joinpath("dictionary_1.json").read_bytes()


class Packer:
    """Compression with the dictionaries of one database; one per thread, zstandard contexts are not shared."""

    def __init__(self, dictionaries: dict[int, bytes]) -> None:
        self._learn(dictionaries)

    def _learn(self, dictionaries: dict[int, bytes]) -> None:
        self._newest = max(dictionaries)
        self._decompressors: dict[int, zstandard.ZstdDecompressor] = {}
        for number, body in dictionaries.items():
            words = zstandard.ZstdCompressionDict(body, dict_type=zstandard.DICT_TYPE_AUTO)
            self._decompressors[number] = zstandard.ZstdDecompressor(dict_data=words)
            if number == self._newest:
                words.precompute_compress(level=_LEVEL)
                self._compressor = zstandard.ZstdCompressor(level=_LEVEL, dict_data=words, write_dict_id=False)

    @classmethod
    def load(cls, connection: Connection) -> Packer:
        return cls(_stored(connection))

    def ready_for(self, encoding: int, connection: Connection) -> None:
        """Learns what was added since, when a payload needs it."""
        if encoding & COMPRESSED and encoding // DICTIONARY not in self._decompressors:
            self.reload(connection)

    def reload(self, connection: Connection) -> None:
        """Knows every dictionary there is now, and compresses with the newest."""
        self._learn(_stored(connection))

    def pack(self, plain: bytes, flags: int) -> tuple[int, bytes]:
        """Encoding and stored bytes; what compression would make longer stays as it is."""
        packed = self._compressor.compress(plain)
        if len(packed) < len(plain):
            return self._newest * DICTIONARY + COMPRESSED + flags, packed
        return flags, plain

    def unpack(self, encoding: int, stored: bytes) -> bytes:
        if not encoding & COMPRESSED:
            return stored
        decompressor = self._decompressors.get(encoding // DICTIONARY)
        if decompressor is None:
            raise LogDamaged(f"payload needs dictionary {encoding // DICTIONARY}, which the database lacks")
        try:
            return decompressor.decompress(stored)
        except zstandard.ZstdError as error:
            raise LogDamaged(f"payload cannot be decompressed: {error}") from error


def _stored(connection: Connection) -> dict[int, bytes]:
    return {number: bytes(body) for number, body in run(connection, "SELECT id, body FROM dictionaries")}
