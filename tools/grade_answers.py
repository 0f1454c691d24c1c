"""Answers that are in another process: what the grader knows of a student's objects.

Data is fetched; a function or a model comes as an `Answer`, whose calls are carried out where it
is (grade_kernel.py).
"""

import base64
import builtins
import io
import json
import pickle
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FunctionType

import numpy as np

MOST_BYTES = 2**26  # of one reply
GRACE = 5.0  # seconds that an interrupted kernel has for its reply


class Late(BaseException):
    """An answer took too long, and was interrupted. No test catches it."""


class Gone(BaseException):
    """No more answers come. No test catches it."""


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
        connection: to the kernel, which speaks first, when it is ready.
        interrupt: stops what the kernel is doing.

    Attributes:
        left: for how many seconds it may still make us wait.
        shown: the outputs of what it did.
    """

    def __init__(self, connection: Connection, interrupt: Callable[[], None]):
        self.connection, self.interrupt = connection, interrupt
        self.left, self.shown = 120.0, []
        self.callbacks: list[FunctionType] = []
        try:
            self._receive()
        except (Exception, Gone) as error:
            raise OSError("its kernel did not start") from error

    def ask(self, kind: str, target, arguments: tuple = (), options: dict | None = None):
        """Return an answer.

        Raises:
            Late: it did not come in time.
            Gone: neither it nor any other comes.
            Exception: what the student's code raised, as the built-in class next to it.
        """
        self._send((kind, target, arguments, options or {}))
        try:
            reply, value, changed = self._receive()
            while reply == "callback":
                self._send(self._called_back(*value))
                reply, value, changed = self._receive()
        except TimeoutError:
            self._stop()
            raise Late from None
        if reply == "error":
            raise _exception(*value)
        for argument, state in zip(arguments, changed, strict=True):
            if state is not None:
                _put_back(argument, state)
        return value

    def _called_back(self, number: int, arguments: list, options: dict) -> tuple[bool, object]:
        try:
            return True, self.callbacks[number](*arguments, **options)
        except Exception as error:
            return False, f"{type(error).__name__}: {error}"

    def _stop(self) -> None:
        """Interrupt the kernel, and read what it still replies."""
        self.interrupt()
        self.left = GRACE
        try:
            while self._receive()[0] == "callback":
                self._send((False, "stopped"))
        except TimeoutError:
            raise Gone("a cell could not be stopped, and what follows it not be graded") from None

    def _send(self, message) -> None:
        buffer = io.BytesIO()
        _Pickler(buffer, self.callbacks).dump(message)
        try:
            self.connection.send_bytes(buffer.getvalue())
        except OSError as error:
            raise Gone("the kernel died") from error

    def _receive(self) -> tuple[str, object, list | None]:
        start = time.monotonic()
        try:
            if not self.connection.poll(max(0, self.left)):
                raise TimeoutError
            message = self.connection.recv_bytes(MOST_BYTES)
        except TimeoutError:
            raise
        except (EOFError, OSError) as error:
            raise Gone("the kernel died") from error
        finally:
            self.left -= time.monotonic() - start
        reply, value, changed, shown = json.loads(message)
        self.shown += shown
        return reply, self._decode(value), self._decode(changed)

    def _decode(self, value):
        if not isinstance(value, list):
            return value
        kind, *rest = value
        match kind:
            case "stub":
                return ...
            case "bytes":
                return base64.b64decode(rest[0])
            case "complex":
                return complex(*rest)
            case "list" | "tuple" | "set" | "frozenset":
                return getattr(builtins, kind)(map(self._decode, rest[0]))
            case "dict":
                return {self._decode(key): self._decode(each) for key, each in rest[0]}
            case "array" | "scalar":
                dtype = np.dtype(rest[0])
                if dtype.kind not in "biufcSU":
                    raise ValueError(f"an answer of type {dtype}")
                data = bytearray(base64.b64decode(rest[2]))
                array = np.frombuffer(data, dtype).reshape(rest[1])
                return array[()] if kind == "scalar" else array
        number, name, can_be_called = rest
        return type(str(name), (Function if can_be_called else Answer,), {})(self, number)


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
