"""Check answers that are in another process: what grade_worker.py knows of a student's objects.

A check cell runs here, in the grader's process. Names that the student answers with are fetched; a
function or a model comes as an `Answer`, whose calls are carried out where it is.
"""

import ast
import builtins
import contextlib
import io
import json
import pickle
import re
import sys
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection
from types import FunctionType

import numpy as np
from IPython.core.inputtransformer2 import TransformerManager

MOST_BYTES = 2**28  # of one answer
HIDDEN = re.compile(r"### (BEGIN|END) HIDDEN TESTS")


class Stopped(BaseException):
    """No more answers come: the time is over, or the kernel dead. No test may catch it."""


class Answer:
    """Something of a student's that is no data: it can be called, and asked for its attributes."""

    def __init__(self, session: "Session", number: int):
        self._session, self._number = session, number

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._session.ask("attribute", self._number, (name,))


class Function(Answer):
    """An `Answer` that can be called."""

    def __call__(self, *arguments, **options):
        return self._session.ask("call", self._number, arguments, options)


class Session:
    """The line to a student's kernel.

    Args:
        connection: to the kernel, which must be in `serve`.
        seconds: how long it may make us wait, all in all.
    """

    def __init__(self, connection: Connection, seconds: float):
        self.connection, self.left = connection, seconds
        self.callbacks: list[FunctionType] = []

    def ask(self, kind: str, target, arguments: tuple = (), options: dict | None = None):
        """Return an answer.

        Raises:
            Stopped: it does not come.
            Exception: what the student's code raised, as the built-in class next to it.
        """
        parts = [part for each in arguments for part in getattr(each, "layers", [])]
        modules = {type(part).__module__ for part in parts}
        self._send([modules, kind, target])  # classes must be known before models are read
        self._send([arguments, options or {}])
        while True:
            reply, value, changed = self._receive()
            if reply != "callback":
                break
            number, given, named = value
            try:
                self._send((True, self.callbacks[number](*given, **named)))
            except Exception as error:
                self._send((False, f"{type(error).__name__}: {error}"))
        if reply == "error":
            raise _exception(*value)
        for argument, state in zip(arguments, changed, strict=True):
            if state is not None:
                _put_back(argument, state)
        return value

    def _send(self, message) -> None:
        buffer = io.BytesIO()
        _Pickler(buffer, self.callbacks).dump(message)
        try:
            self.connection.send_bytes(buffer.getvalue())
        except OSError as error:
            raise Stopped from error

    def _receive(self):
        reply, value, changed, count = json.loads(self._bytes())
        blobs = iter([self._bytes() for _ in range(min(int(count), 10_000))])
        return reply, self._decode(value, blobs), self._decode(changed, blobs)

    def _bytes(self) -> bytes:
        start = time.monotonic()
        try:
            if not self.connection.poll(max(0, self.left)):
                raise Stopped
            return self.connection.recv_bytes(MOST_BYTES)
        except (EOFError, OSError) as error:
            raise Stopped from error
        finally:
            self.left -= time.monotonic() - start

    def _decode(self, value, blobs):
        if not isinstance(value, list):
            return value
        kind, *rest = value
        if kind in ("list", "tuple", "set", "frozenset"):
            return getattr(builtins, kind)(self._decode(each, blobs) for each in rest[0])
        if kind == "dict":
            return {self._decode(k, blobs): self._decode(v, blobs) for k, v in rest[0]}
        if kind in ("array", "scalar"):
            dtype = np.dtype(rest[0])
            if dtype.kind not in "biufcSU":
                raise ValueError(f"an answer of type {dtype}")
            array = np.frombuffer(next(blobs), dtype).reshape(rest[1]).copy()
            return array[()] if kind == "scalar" else array
        if kind == "object":
            number, name, can_be_called = rest
            return type(str(name), (Function if can_be_called else Answer,), {})(self, number)
        return {
            "stub": lambda: ...,
            "complex": lambda: complex(*rest),
            "bytes": lambda: next(blobs),
        }[kind]()


class _Pickler(pickle.Pickler):
    """Writes arguments; functions that no import finds are called back."""

    def __init__(self, file, callbacks: list[FunctionType]):
        super().__init__(file)
        self.callbacks = callbacks

    def persistent_id(self, value):
        if isinstance(value, Answer):
            return "object", value._number
        if isinstance(value, FunctionType):
            module = sys.modules.get(value.__module__)
            if module is None or getattr(module, value.__qualname__, None) is not value:
                self.callbacks.append(value)
                return "callback", len(self.callbacks) - 1
        return None


def _exception(name: str, message: str, shown: str) -> Exception:
    kind = getattr(builtins, str(name), Exception)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = Exception
    try:
        return type(str(shown), (kind,), {})(message)
    except TypeError:  # UnicodeDecodeError and the like want more
        return Exception(message)


def _put_back(argument, state) -> None:
    """Change an argument as the student's code changed its copy."""
    if hasattr(argument, "set_weights"):
        argument.set_weights(state)
    elif isinstance(argument, np.ndarray):
        argument[...] = state
    elif isinstance(argument, list):
        argument[:] = state
    else:
        argument.clear()
        argument.update(state)


def loaded(tree: ast.AST) -> set[str]:
    """Return the names that code reads."""
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def bound(tree: ast.AST) -> set[str]:
    """Return the names that code gives a value to, or changes in place as a statement."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
        elif (
            isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store)
        ) or (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
        ):
            names.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
    return names


def parse(source: str) -> ast.Module:
    """Parse a cell; nothing is in what is no Python."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.parse(TransformerManager().transform_cell(source))
    return ast.Module([], [])


class _NoShell:
    """What stands for IPython where a given cell uses a magic command: it does nothing."""

    def __getattr__(self, _name: str):
        return lambda *_arguments, **_options: None


class Checker:
    """Runs the check cells of one notebook, each with what the student answered.

    Names come from the notebook as it was written: cells that were given out run here too where a
    check needs them, so that a student cannot change a test by changing one of their names.

    Args:
        cells: sources of the solution notebook's code cells in their order, and for each whether
            the student answers in it.
    """

    def __init__(self, cells: Iterable[tuple[str, bool]]):
        trees = [(parse(source), answered) for source, answered in cells]
        self.given = [tree for tree, answered in trees if not answered]
        self.answered = set().union(*(bound(tree) for tree, answered in trees if answered))
        self.names = {"__name__": "__main__", "get_ipython": _NoShell}

    def needed(self, source: str) -> tuple[set[str], list[ast.Module]]:
        """Return the names that a check asks the student for, and the given cells it needs."""
        wanted, cells = loaded(parse(source)), []
        for tree in reversed(self.given):
            if bound(tree) & (wanted - self.answered - self.names.keys()):
                wanted |= loaded(tree)
                cells.insert(0, tree)
        return wanted & self.answered, cells

    def check(self, source: str, session: Session) -> tuple[bool, str]:
        """Run a check cell; return whether all of it went well, and what to show of it."""
        shown, hidden, in_hidden = io.StringIO(), io.StringIO(), False
        asked, cells = self.needed(source)
        answers = {}
        with contextlib.redirect_stderr(hidden):
            try:
                for name in asked:
                    self.names.pop(name, None)
                    with contextlib.suppress(KeyError):
                        answers[name] = session.ask("name", name)
                self.names |= answers
                with contextlib.redirect_stdout(hidden):
                    for tree in cells:
                        self._run(tree)
                self.names |= answers
                tests = _hidden_lines(source)
                for statement in parse(source).body:
                    in_hidden = statement.lineno in tests
                    with contextlib.redirect_stdout(hidden if in_hidden else shown):
                        self._run(ast.Module([statement], []))
            except Stopped:
                raise
            except BaseException as error:  # a test may raise anything
                reason = (
                    "A hidden test failed." if in_hidden else f"{type(error).__name__}: {error}"
                )
                return False, f"{shown.getvalue()}{reason}\n"
        return True, shown.getvalue()

    def _run(self, tree: ast.Module) -> None:
        exec(compile(tree, "<check>", "exec"), self.names)


def _hidden_lines(source: str) -> set[int]:
    lines, inside = set(), False
    for number, line in enumerate(source.splitlines(), 1):
        marker = HIDDEN.search(line)
        inside = marker[1] == "BEGIN" if marker else inside
        if inside:
            lines.add(number)
    return lines
