"""Read the values in a pickle without unpickling it.

A pickle is a program, and Python's unpickler imports and calls whatever it names. Here the program runs on a stack
machine that knows only plain values and containers. A name in the stream (``GLOBAL``) is looked up in a table of
the caller and never imported, and a call (``REDUCE``) calls the caller's function of that name. Any other name is
refused, so the worst that a file can do is to be refused.

The operations are those of protocols 2 to 5 (`pickletools`, PEP 307, PEP 3154) that NumPy and PyTorch write.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from render.common.errors import InputError

MAX_OPERATIONS = 300_000


@dataclass(frozen=True)
class Name:
    """A name in the stream, such as ``torch FloatStorage``; the caller knows what it stands for."""

    name: str


class _Mark:
    pass


_MARK = _Mark()
# LONG4 is left out: it can hold integers of megabytes, whose conversion to decimal takes very long.
_PUSHED = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = {"PROTO", "FRAME"}


def read_pickle(
    data: bytes,
    where: str,
    *,
    functions: Mapping[str, Callable[..., Any]],
    names: frozenset[str] = frozenset(),
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Evaluate a pickle.

    Parameters
    ----------
    data : bytes
    where : str
        Name of the file in error messages.
    functions : mapping of str to callable
        Functions that stand in for the names which the stream may call, by ``"module attribute"``. If their result
        has a method `set_state`, ``BUILD`` calls it; attributes set on a dictionary are dropped.
    names : frozenset of str
        Names that may occur without being called; they become `Name`.
    persistent : callable, optional
        Returns the value of a persistent id. Without it persistent ids are refused.

    Returns
    -------
    Any
        Plain values and containers, `Name`, and the results of `functions` and `persistent`.

    Raises
    ------
    InputError
        If the stream is damaged, or names or does anything else. The functions may raise it, too.
    """
    machine = _Machine(where, functions, names, persistent)
    try:
        return machine.run(data)
    except InputError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, StopIteration) as error:
        raise InputError(f"{where}: damaged pickle ({str(error)[:100]})") from None


def _is_key(value: Any) -> bool:
    """Whether a value can be a key: hashes of strings are random, those of these integers are all different.

    Integers modulo 2^61 - 1 (`sys.hash_info`), floats and tuples have equal hashes in any number: a dictionary of
    100,000 such keys takes minutes.
    """
    return type(value) is str or (type(value) is int and 0 <= value < 1 << 32)


class _Machine:
    """Stack, marks and memo of one pickle."""

    def __init__(self, where, functions, names, persistent):
        self.where, self.functions, self.names, self.persistent = where, functions, names, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """Evaluate the whole pickle."""
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # `pickletools` decodes escapes in strings, valid or not
            for count, (operation, argument, position) in enumerate(pickletools.genops(data)):
                if count >= MAX_OPERATIONS:
                    raise ValueError(f"more than {MAX_OPERATIONS} operations")
                if operation.name == "STOP":
                    if len(self.stack) != 1 or position != len(data) - 1:
                        raise ValueError(f"it ends at byte {position} of {len(data)}")
                    return self._pop(1)[0]
                self.step(operation.name, argument)
        raise ValueError("it has no end")

    def step(self, operation: str, argument: Any) -> None:
        """Carry out one operation."""
        if operation in _PUSHED:
            self.stack.append(argument)
        elif operation in _CONSTANTS:
            self.stack.append(_CONSTANTS[operation])
        elif operation in _TUPLES:
            self.stack.append(tuple(self._pop(_TUPLES[operation])))
        elif operation not in _IGNORED:
            method = getattr(self, f"_{operation.lower()}", None)
            if method is None:
                raise InputError(
                    f"{self.where}: its pickle has the operation {operation}, which no data file needs"
                )
            method(argument)

    def _pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise ValueError("the stack is empty")
        values = self.stack[len(self.stack) - count :]
        if any(value is _MARK for value in values):
            raise ValueError("misplaced mark")
        del self.stack[len(self.stack) - count :]
        return values

    def _since_mark(self) -> list[Any]:
        begin = next(i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK)
        values = self.stack[begin + 1 :]
        del self.stack[begin:]
        return values

    def _mark(self, _) -> None:
        self.stack.append(_MARK)

    def _tuple(self, _) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _empty_tuple(self, _) -> None:
        self.stack.append(())

    def _empty_list(self, _) -> None:
        self.stack.append([])

    def _empty_dict(self, _) -> None:
        self.stack.append({})

    def _append(self, _) -> None:
        (value,) = self._pop(1)
        self._top(list).append(value)

    def _appends(self, _) -> None:
        values = self._since_mark()
        self._top(list).extend(values)

    def _setitem(self, _) -> None:
        self._set(self._pop(2))

    def _setitems(self, _) -> None:
        self._set(self._since_mark())

    def _set(self, values: list[Any]) -> None:
        keys = values[::2]
        if len(values) % 2 or not all(_is_key(key) for key in keys):
            raise ValueError("dictionary with keys that are neither strings nor small integers")
        self._top(dict).update(zip(keys, values[1::2], strict=True))

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"a {kind.__name__} was expected on the stack")
        return self.stack[-1]

    def _memoize(self, _) -> None:
        self.memo[len(self.memo)] = self._unmarked()

    def _binput(self, index: int) -> None:
        self.memo[index] = self._unmarked()

    _long_binput = _binput

    def _unmarked(self) -> Any:
        if self.stack[-1] is _MARK:
            raise ValueError("misplaced mark")
        return self.stack[-1]

    def _binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _long_binget = _binget

    def _global(self, name: str) -> None:
        # `pickletools` gives "module attribute"
        if name not in self.functions and name not in self.names:
            raise InputError(
                f"{self.where}: its pickle names {name[:80]!r}, which has no place in a data file; refused"
            )
        self.stack.append(Name(name))

    def _stack_global(self, _) -> None:
        module, attribute = self._pop(2)
        if type(module) is not str or type(attribute) is not str:
            raise ValueError("a name is not a string")
        self._global(f"{module} {attribute}")

    def _reduce(self, _) -> None:
        called, arguments = self._pop(2)
        if type(called) is not Name or called.name not in self.functions or type(arguments) is not tuple:
            raise InputError(f"{self.where}: its pickle calls what no data file needs; refused")
        self.stack.append(self.functions[called.name](*arguments))

    def _build(self, _) -> None:
        (state,) = self._pop(1)
        target = self.stack[-1]
        if hasattr(target, "set_state"):
            target.set_state(state)
        elif type(target) is not dict:
            raise ValueError("a plain value cannot have a state")

    def _binpersid(self, _) -> None:
        if self.persistent is None:
            raise ValueError("unexpected persistent id")
        (identity,) = self._pop(1)
        self.stack.append(self.persistent(identity))
