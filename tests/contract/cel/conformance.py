"""The public conformance data of CEL: fetched as a Go module, read with descriptors compiled from its own protos."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message
from grpc_tools import protoc

from kro_es.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    UINT,
    CelType,
    ListType,
    MapType,
    OpaqueType,
    OptionalType,
    TypeOf,
    TypeParam,
)
from kro_es.cel.values import NANOS, CelValue, Duration, Timestamp, TypeValue, Uint, map_key

MODULE = "cel.dev/expr@v0.25.3"
_PROTOS = (
    "cel/expr/conformance/test/simple.proto",
    "cel/expr/conformance/proto2/test_all_types.proto",
    "cel/expr/conformance/proto2/test_all_types_extensions.proto",
    "cel/expr/conformance/proto3/test_all_types.proto",
)


_QUESTION_MARK = re.compile(r"(?<!\\)((?:\\\\)*)\\\?")


class DataMissing(Exception):
    """The data cannot be had on this machine; the text says why."""


class Messages(Exception):
    """A case is about protobuf messages or enums; kro has neither."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test of the data."""

    path: str
    """File, section and name."""
    test: Any


@cache
def folder() -> Path:
    """Where the module lies; Go's module proxy is asked once, and Go's cache keeps it."""
    go = shutil.which("go")
    if go is None:
        raise DataMissing("the conformance data is a Go module and there is no go command to fetch it with")
    with tempfile.TemporaryDirectory() as empty:
        command = [go, "mod", "download", "-json", MODULE]
        done = subprocess.run(command, cwd=empty, capture_output=True, text=True, timeout=300)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"Error": done.stderr}
    if "Dir" not in answer:
        raise DataMissing(f"go mod download {MODULE}: {answer.get('Error', done.stderr)}")
    return Path(answer["Dir"])


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    known = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as out:
        target = Path(out) / "set.pb"
        include = [f"-I{folder() / 'proto'}", f"-I{known}", "--include_imports", f"--descriptor_set_out={target}"]
        if protoc.main(["protoc", *include, *_PROTOS]) != 0:
            raise DataMissing("the protos of the conformance data do not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)  # dependencies come first
    return pool


def cases() -> Iterator[Case]:
    """Every test of every file, in order."""
    pool = _pool()
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("cel.expr.conformance.test.SimpleTestFile"))
    for path in sorted((folder() / "tests" / "simple" / "testdata").glob("*.textproto")):
        # C reads \? as a question mark; the Python parser does not know it
        text = _QUESTION_MARK.sub(r"\1?", path.read_text())
        file: Any = text_format.Parse(text, kind(), descriptor_pool=pool)
        for section in file.section:
            for test in section.test:
                yield Case(f"{path.stem}/{section.name}/{test.name}", test)


# -- types and values


_PRIMITIVES = {1: BOOL, 2: INT, 3: UINT, 4: DOUBLE, 5: STRING, 6: BYTES}


def cel_type(of: Any) -> CelType:
    """Raises Messages for a type kro cannot have."""
    kind = of.WhichOneof("type_kind")
    if kind == "message_type":
        kind = of.message_type
    if kind not in _TYPES:
        raise Messages(f"type {kind}")
    return _TYPES[kind](of)


def _abstract(of: Any) -> CelType:
    if of.name == "optional_type":
        return OptionalType(cel_type(of.parameter_types[0]))
    return OpaqueType(of.name)


_TYPES: dict[str | None, Callable[[Any], CelType]] = {
    "dyn": lambda _: DYN,
    "null": lambda _: NULL,
    "primitive": lambda of: _PRIMITIVES[of.primitive],
    "well_known": lambda of: {2: TIMESTAMP, 3: DURATION}[of.well_known],
    "google.protobuf.Timestamp": lambda _: TIMESTAMP,
    "google.protobuf.Duration": lambda _: DURATION,
    "list_type": lambda of: ListType(cel_type(of.list_type.elem_type)),
    "map_type": lambda of: MapType(cel_type(of.map_type.key_type), cel_type(of.map_type.value_type)),
    "type": lambda of: TypeOf(cel_type(of.type) if of.type.WhichOneof("type_kind") else TypeParam("T")),
    "type_param": lambda of: TypeParam(of.type_param),
    "abstract_type": lambda of: _abstract(of.abstract_type),
}


def cel_value(value: Any) -> CelValue:
    """Raises Messages for a message or an enum."""
    kind = value.WhichOneof("kind")
    if kind not in _VALUES:
        raise Messages(f"value {kind}")
    return _VALUES[kind](getattr(value, kind))


def _well_known(value: Any) -> CelValue:
    name = value.type_url.rpartition("/")[2]
    if name not in ("google.protobuf.Duration", "google.protobuf.Timestamp"):
        raise Messages(name)
    found: Any = message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))()
    assert isinstance(found, Message)
    value.Unpack(found)
    nanos = found.seconds * NANOS + found.nanos
    return Duration(nanos) if name.endswith("Duration") else Timestamp(nanos)


_VALUES: dict[str | None, Callable[[Any], CelValue]] = {
    "null_value": lambda _: None,
    "bool_value": bool,
    "int64_value": int,
    "uint64_value": Uint,
    "double_value": float,
    "string_value": str,
    "bytes_value": bytes,
    "type_value": TypeValue,
    "list_value": lambda of: [cel_value(item) for item in of.values],
    "map_value": lambda of: {map_key(cel_value(entry.key)): cel_value(entry.value) for entry in of.entries},
    "object_value": _well_known,
}

_CONSTRUCTION = re.compile(r"[A-Za-z_]\w*\{")
_ABOUT_MESSAGES = re.compile(
    r"TestAllTypes|GlobalEnum|NestedEnum|google\.protobuf\.(?!Timestamp\b|Duration\b)\w|proto\.(has|get)Ext"
)


def check_no_messages(test: Any) -> None:
    """Raises Messages when the case cannot be asked without protobuf."""
    if _ABOUT_MESSAGES.search(test.expr) or _CONSTRUCTION.search(test.expr):
        raise Messages("in the expression")
    if _ABOUT_MESSAGES.search(test.container):
        raise Messages("in the container")
    for declared in test.type_env:
        if declared.WhichOneof("decl_kind") == "ident":
            cel_type(declared.ident.type)
    for bound in test.bindings.values():
        if bound.WhichOneof("kind") == "value":
            cel_value(bound.value)
    match test.WhichOneof("result_matcher"):
        case "value":
            cel_value(test.value)
        case "typed_result":
            if test.typed_result.HasField("result"):
                cel_value(test.typed_result.result)
            cel_type(test.typed_result.deduced_type)


def must_run() -> bool:
    return os.environ.get("CI") == "true"
