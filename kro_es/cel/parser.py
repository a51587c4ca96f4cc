"""Text to ParsedExpression: the whole grammar of cel-go with optional syntax, bounded in size and depth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from kro_es.cel.ast import (
    Call,
    Entry,
    Ident,
    ListLiteral,
    Literal,
    MapLiteral,
    Node,
    Position,
    Select,
    children,
    dotted,
)
from kro_es.cel.declarations import FULL, Environment
from kro_es.cel.errors import MAX_ISSUES, CelIssue, CelSyntaxError
from kro_es.cel.lexer import RESERVED, Lexer, Token
from kro_es.cel.macros import expand_global, expand_member
from kro_es.cel.source import Source
from kro_es.cel.stack import MAX_DEPTH, make_room
from kro_es.cel.values import INT_MAX

MAX_SOURCE = 100_000
MAX_NESTING = 250

_BINARY = {
    "||": (1, "_||_"), "&&": (2, "_&&_"),
    "<": (3, "_<_"), "<=": (3, "_<=_"), ">": (3, "_>_"), ">=": (3, "_>=_"),
    "==": (3, "_==_"), "!=": (3, "_!=_"), "in": (3, "@in"),
    "+": (4, "_+_"), "-": (4, "_-_"),
    "*": (5, "_*_"), "/": (5, "_/_"), "%": (5, "_%_"),
}  # fmt: skip
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_OF_ONE_LIST = frozenset({"math.greatest", "math.least"})
"""Functions that may also be given the elements of their list one by one."""
_OPERAND = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)
_CONSTANTS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class ParsedExpression:
    """A well-formed expression; nothing is known about its names and types yet."""

    text: str
    root: Node
    depth: int
    source: Source = field(repr=False, compare=False)
    environment: Environment = field(repr=False)


def parse(text: str, environment: Environment = FULL) -> ParsedExpression:
    """Raises CelSyntaxError with all faults when ``text`` is not one expression or is too large.

    The environment says which ``receiver.function`` is one function, and goes with the expression to the checker.
    """
    source = Source(text)
    if len(text) > MAX_SOURCE:
        message = f"expression code point size exceeds limit: size: {len(text)}, limit {MAX_SOURCE}"
        raise source.syntax_error(0, message)
    # nothing else nests the rules of the grammar
    make_room(sum(map(text.count, "([{?")))
    root = _Parser(source, environment).parse()
    depth = _depth(root)
    if depth > MAX_DEPTH:
        raise source.syntax_error(0, f"expression recursion limit exceeded: {MAX_DEPTH}")
    return ParsedExpression(text, root, depth, source, environment)


def _depth(root: Node) -> int:
    depth, level = 0, [root]
    while level:
        level = [child for node in level for child in children(node)]
        depth += 1
    return depth


class _Parser:
    """Operator precedence climbing; one method per rule of the grammar."""

    def __init__(self, source: Source, environment: Environment) -> None:
        self._source = source
        self._environment = environment
        self._tokens = Lexer(source).tokens()
        self._at = 0
        self._nesting = 0
        self._last_id = 0
        self._issues: list[CelIssue] = []
        self._lost = False
        """A bracket is never closed: brackets say no longer where a fault ends."""

    def parse(self) -> Node:
        try:
            root = self._expression()
            self._expect("end")
        except CelSyntaxError as error:
            self._issues += error.issues
        if self._issues:
            raise CelSyntaxError(*dict.fromkeys(sorted(self._issues, key=lambda issue: (issue.line, issue.column))))
        return root

    # -- faults

    def _noted(self, error: CelSyntaxError) -> Node:
        """Stands in for what is at fault, so that the rest is read too."""
        if len(self._issues) < MAX_ISSUES:
            self._issues += error.issues
        return Literal(0, Position(error.issue.line, error.issue.column), None)

    def _item(self, *ends: str) -> Node:
        """An expression before one of ``ends``; after a fault in it reading goes on there."""
        nesting = self._nesting
        try:
            node = self._expression()
            if self._token.kind not in (*ends, "end", *_CLOSING):
                raise self._unexpected(self._token, f"'{ends[-1]}'")
            return node
        except CelSyntaxError as error:
            if self._lost or len(self._issues) >= MAX_ISSUES or not self._skip(ends):
                raise
            self._nesting = nesting
            return self._noted(error)

    def _skip(self, ends: tuple[str, ...]) -> bool:
        """Whether one of ``ends`` comes on this level of brackets; what lies before it is passed over."""
        depth, at = 0, self._at
        while depth >= 0 and (kind := self._tokens[at].kind) not in ("end", "invalid"):
            if depth == 0 and kind in ends:
                self._at = at
                return True
            depth += (kind in _OPENING) - (kind in _CLOSING)
            at += 1
        self._lost = self._lost or depth >= 0
        return False

    # -- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _advance(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def _accept(self, kind: str) -> Token | None:
        return self._advance() if self._token.kind == kind else None

    def _expect(self, kind: str) -> Token:
        if self._token.kind != kind:
            if kind in ("]", "}"):
                raise self._unexpected(self._token, f"{{'{kind}', ','}}")
            if self._token.kind == "end":
                raise self._source.syntax_error(self._token.offset, f"Syntax error: missing '{kind}' at '<EOF>'")
            raise self._unexpected(self._token, "<EOF>" if kind == "end" else f"'{kind}'")
        return self._advance()

    def _unexpected(self, token: Token, expected: str = "") -> CelSyntaxError:
        if isinstance(token.value, CelSyntaxError):
            return token.value
        shown = "<EOF>"
        if token.kind != "end":
            near = self._tokens[max(0, self._at - 1) : self._at + 3]
            after = next(other.offset for other in near if other.offset > token.offset)
            shown = self._source.text[token.offset : after].rstrip()
        wanted = f" expecting {expected}" if expected else ""
        return self._source.syntax_error(token.offset, f"Syntax error: mismatched input '{shown}'{wanted}")

    def _new(self, token: Token) -> tuple[int, Position]:
        self._last_id += 1
        return self._last_id, self._source.position(token.offset)

    def _operator(self, token: Token, function: str, *args: Node) -> Call:
        return Call(*self._new(token), function, None, args)

    # -- operators

    def _expression(self) -> Node:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            message = f"expression recursion limit exceeded: {MAX_NESTING}"
            raise self._source.syntax_error(self._token.offset, message)
        node = self._binary(1)
        if question := self._accept("?"):
            chosen = self._binary(1)
            self._expect(":")
            node = self._operator(question, "_?_:_", node, chosen, self._expression())
        self._nesting -= 1
        return node

    def _binary(self, least: int) -> Node:
        left = self._unary()
        while True:
            token = self._token
            precedence, function = _BINARY.get(token.text, (0, "")) if token.kind != "quoted" else (0, "")
            if precedence < least:
                return left
            self._advance()
            left = self._operator(token, function, left, self._binary(precedence + 1))

    def _unary(self) -> Node:
        first = self._token
        if first.kind not in ("!", "-"):
            return self._postfix(self._primary())
        count = 0
        while self._token.kind == first.kind:
            # a single minus right before a number belongs to the literal: the smallest int has no positive
            if count == 0 and first.kind == "-" and (literal := self._negative_literal()):
                return self._postfix(literal)
            self._advance()
            count += 1
        operand = self._unary_operand(first)
        return operand if count % 2 == 0 else self._operator(first, f"{first.kind}_", operand)

    def _unary_operand(self, first: Token) -> Node:
        if self._token.kind in ("!", "-"):
            raise self._unexpected(self._token)
        if first.kind == "-" and self._token.kind == "int" and self._token.value > INT_MAX:
            raise self._source.syntax_error(self._token.offset, "invalid int literal")
        return self._postfix(self._primary())

    def _negative_literal(self) -> Literal | None:
        minus, number = self._token, self._tokens[self._at + 1]
        if number.kind != "int" and not (number.kind == "literal" and type(number.value) is float):
            return None
        self._at += 2
        return Literal(*self._new(minus), -number.value)

    # -- members

    def _postfix(self, node: Node) -> Node:
        while True:
            if dot := self._accept("."):
                node = self._member(node, dot)
            elif bracket := self._accept("["):
                function = "_[?_]" if self._accept("?") else "_[_]"
                node = self._operator(bracket, function, node, self._expression())
                self._expect("]")
            elif self._token.kind == "{" and isinstance(node, Ident | Select):
                raise self._source.syntax_error(self._token.offset, "message construction is not supported")
            else:
                return node

    def _member(self, node: Node, dot: Token) -> Node:
        optional = self._accept("?") is not None
        if self._token.kind == "quoted":
            return Select(*self._new(dot), node, self._advance().text, optional=optional, quoted=True)
        name = self._token
        if name.text == "in":
            raise self._source.syntax_error(dot.offset, "Syntax error: no viable alternative at input '.in'")
        if name.kind != "name" or name.text in _CONSTANTS:
            raise self._unexpected(name, "IDENTIFIER")
        self._advance()
        if not optional and (parenthesis := self._accept("(")):
            return self._member_call(node, name, parenthesis)
        return Select(*self._new(dot), node, name.text, optional=optional)

    def _member_call(self, target: Node, name: Token, parenthesis: Token) -> Node:
        args = self._sequence(")")
        identity = self._new(parenthesis)
        receiver = dotted(target)
        full = f"{receiver}.{name.text}"
        if receiver is not None and self._environment.is_namespaced(full):
            if full in _OF_ONE_LIST and len(args) > 1:
                args = (ListLiteral(*self._new(parenthesis), args),)
            return Call(*identity, full, None, args)
        try:
            expanded = expand_member(self._source, identity, target, name.text, args)
        except CelSyntaxError as error:
            return self._noted(error)
        return expanded or Call(*identity, name.text, target, args)

    def _sequence(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while self._token.kind != end:
            found.append(self._item(",", end))
            if not self._accept(","):
                break
            if end == ")" and self._token.kind == end:
                raise self._unexpected(self._token)
        self._expect(end)
        return tuple(found)

    # -- primaries

    def _primary(self) -> Node:
        token = self._advance()
        match token.kind:
            case "literal":
                return Literal(*self._new(token), token.value)
            case "int":
                return self._int(token)
            case "name":
                return self._name(token)
            case "(":
                inner = self._item(")")
                self._expect(")")
                return inner
            case "[":
                return self._list(token)
            case "{":
                return self._map(token)
            case ".":
                return self._absolute(self._expect("name"))
        self._at -= 1
        raise self._unexpected(token, _OPERAND)

    def _int(self, token: Token) -> Literal:
        if token.value > INT_MAX:
            raise self._source.syntax_error(token.offset, "invalid int literal")
        return Literal(*self._new(token), token.value)

    def _name(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(*self._new(token), _CONSTANTS[token.text])
        if token.text == "in":
            raise self._unexpected(token, _OPERAND)
        if token.text in RESERVED:
            raise self._source.syntax_error(token.offset, f"reserved identifier: {token.text}")
        if parenthesis := self._accept("("):
            args = self._sequence(")")
            identity = self._new(parenthesis)
            try:
                expanded = expand_global(self._source, identity, token.text, args)
            except CelSyntaxError as error:
                return self._noted(error)
            return expanded or Call(*identity, token.text, None, args)
        return Ident(*self._new(token), token.text)

    def _absolute(self, token: Token) -> Node:
        named = self._name(token)
        return replace(named, absolute=True) if isinstance(named, Ident) else named

    def _list(self, token: Token) -> ListLiteral:
        elements: list[Node] = []
        optional: set[int] = set()
        while self._token.kind != "]":
            if self._accept("?"):
                optional.add(len(elements))
            elements.append(self._item(",", "]"))
            if not self._accept(","):
                break
        self._expect("]")
        return ListLiteral(*self._new(token), tuple(elements), frozenset(optional))

    def _map(self, token: Token) -> MapLiteral:
        entries: list[Entry] = []
        while self._token.kind != "}":
            optional = self._accept("?") is not None
            key = self._expression()
            self._expect(":")
            entries.append(Entry(key, self._item(",", "}"), optional))
            if not self._accept(","):
                break
        self._expect("}")
        return MapLiteral(*self._new(token), tuple(entries))
