"""Type inference after cel-go: type parameters are bound as arguments are seen, and dyn goes with everything."""

from __future__ import annotations

from dataclasses import dataclass, field

from kro_es.cel.types import (
    DURATION,
    DYN,
    NULL,
    TIMESTAMP,
    CelType,
    ListType,
    MapType,
    OpaqueType,
    OptionalType,
    Primitive,
    StructType,
    TypeOf,
    TypeParam,
)


def parameters(of: CelType) -> tuple[CelType, ...]:
    match of:
        case ListType():
            return (of.element,)
        case MapType():
            return (of.key, of.value)
        case OptionalType() | TypeOf():
            return (of.inner,)
        case _:
            return ()


def _rebuilt(of: CelType, parts: tuple[CelType, ...]) -> CelType:
    match of:
        case ListType():
            return ListType(parts[0], of.merge)
        case MapType():
            return MapType(parts[0], parts[1])
        case OptionalType():
            return OptionalType(parts[0])
        case TypeOf():
            return TypeOf(parts[0])
        case _:
            return of


def mentions_dyn(of: CelType) -> bool:
    return of == DYN or any(mentions_dyn(part) for part in parameters(of))


def erased(of: CelType) -> CelType:
    """What is certain of an overload's result when its type parameters met a dyn."""
    if isinstance(of, TypeParam):
        return DYN
    parts = parameters(of)
    return _rebuilt(of, tuple(erased(part) for part in parts)) if parts else of


@dataclass(slots=True)
class Inference:
    """The bindings of one expression's type parameters."""

    _bound: dict[TypeParam, CelType] = field(default_factory=dict)
    _trail: list[tuple[TypeParam, CelType | None]] = field(default_factory=list)
    """What each binding replaced, in order: an overload that does not fit is undone."""
    _fresh: int = 0

    def fresh(self) -> TypeParam:
        self._fresh += 1
        return TypeParam(f"_var{self._fresh}")

    def instantiate(self, types: tuple[CelType, ...]) -> tuple[CelType, ...]:
        """The types of one overload with parameters of their own."""
        names: dict[TypeParam, CelType] = {}
        return tuple(self._renamed(of, names) for of in types)

    def _renamed(self, of: CelType, names: dict[TypeParam, CelType]) -> CelType:
        if isinstance(of, TypeParam):
            return names.setdefault(of, self.fresh())
        parts = parameters(of)
        return _rebuilt(of, tuple(self._renamed(part, names) for part in parts)) if parts else of

    def resolve(self, of: CelType, *, final: bool = False) -> CelType:
        """``of`` with what is known put in; what stays unknown becomes dyn in the end."""
        while isinstance(of, TypeParam) and of in self._bound:
            of = self._bound[of]
        if isinstance(of, TypeParam):
            return DYN if final else of
        parts = parameters(of)
        return _rebuilt(of, tuple(self.resolve(part, final=final) for part in parts)) if parts else of

    def assign(self, given: tuple[CelType, ...], wanted: tuple[CelType, ...]) -> bool:
        """Whether all of ``given`` go where ``wanted`` is asked for; binds parameters only if so."""
        kept = len(self._trail)
        if len(given) == len(wanted) and all(self._assign(a, b) for a, b in zip(given, wanted, strict=True)):
            return True
        while len(self._trail) > kept:
            parameter, before = self._trail.pop()
            if before is None:
                del self._bound[parameter]
            else:
                self._bound[parameter] = before
        return False

    def join(self, first: CelType, second: CelType) -> CelType:
        """The type of a list that holds both."""
        if self.assign((first,), (second,)):
            return self._most_general(first, second)
        return DYN

    def _assign(self, given: CelType, wanted: CelType) -> bool:
        if isinstance(wanted, TypeParam):
            valid, known = self._substitute(given, wanted)
            if valid or known:
                return valid
        if isinstance(given, TypeParam):
            return self._substitute(wanted, given)[0]
        if DYN in (given, wanted):
            return True
        if NULL in (given, wanted):
            return given == wanted or _nullable(given) or _nullable(wanted)
        if type(given) is not type(wanted):
            return False
        parts = parameters(given)
        if isinstance(given, TypeOf):
            return True  # types compare with each other, whatever they are the types of
        if not parts:
            return given == wanted
        return all(self._assign(a, b) for a, b in zip(parts, parameters(wanted), strict=True))

    def _substitute(self, of: CelType, parameter: TypeParam) -> tuple[bool, bool]:
        """Whether ``parameter`` can stand for ``of``, and whether it was bound before."""
        if of == parameter:
            return True, True
        bound = self._bound.get(parameter)
        if bound is not None:
            if of == bound:
                return True, True
            if not self._assign(of, bound):
                return False, True
            general = self._most_general(of, bound)
            if not self._occurs(parameter, general):
                self._bind(parameter, general)
            return True, True
        if self._occurs(parameter, of):
            return False, False
        self._bind(parameter, of)
        return True, False

    def _bind(self, parameter: TypeParam, of: CelType) -> None:
        self._trail.append((parameter, self._bound.get(parameter)))
        self._bound[parameter] = of

    def _occurs(self, parameter: TypeParam, of: CelType) -> bool:
        if of == parameter:
            return True
        if isinstance(of, TypeParam):
            bound = self._bound.get(of)
            return bound is not None and self._occurs(parameter, bound)
        return any(self._occurs(parameter, part) for part in parameters(of))

    def _most_general(self, first: CelType, second: CelType) -> CelType:
        return first if self._less_specific(first, second) else second

    def _less_specific(self, first: CelType, second: CelType) -> bool:
        if first == DYN or isinstance(first, TypeParam):
            return True
        if second == DYN or isinstance(second, TypeParam):
            return False
        if NULL in (first, second):
            return second == NULL if first != NULL else first == second
        if type(first) is not type(second):
            return False
        parts = parameters(first)
        if not parts:
            return first == second
        return all(self._less_specific(a, b) for a, b in zip(parts, parameters(second), strict=True))


def _nullable(of: CelType) -> bool:
    if isinstance(of, Primitive):
        return of in (TIMESTAMP, DURATION)
    return isinstance(of, StructType | OptionalType | OpaqueType)
