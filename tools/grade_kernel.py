"""The kernel that a submission runs in: grade_worker.py starts it, confined, and asks it.

What is asked for goes out as data: numbers, texts, arrays, lists. Functions and models stay here
and are called from outside, with arguments that come in. No test and no right answer is ever in
here, so a submission that changes this file's objects changes only what it answers.
"""

import builtins
import copy
import importlib
import io
import json
import os
import pickle
import resource
import socket
import sys
from multiprocessing.connection import Connection

import numpy as np
from ipykernel.kernelapp import IPKernelApp

GRADER: Connection  # to the process that asks
OBJECTS: list = []  # what has gone out by its number


def encode(value, blobs: list[bytes]):
    """Return a value as JSON can hold it; the bytes of its arrays are appended to blobs."""
    if value is None or isinstance(value, bool):
        return value
    if value is ...:
        return ["stub"]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        blobs.append(bytes(value))
        return ["bytes"]
    if isinstance(value, np.ndarray | np.generic):
        return _encode_array(value, blobs)
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if isinstance(value, dict):
        return ["dict", [[encode(k, blobs), encode(v, blobs)] for k, v in value.items()]]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return [kind.__name__, [encode(each, blobs) for each in value]]
    if isinstance(value, range):
        return ["list", list(value)]
    if not callable(value):
        if hasattr(value, "__array__"):  # TensorFlow's, Keras's, pandas'
            return _encode_array(np.asarray(value), blobs)
        if hasattr(value, "__float__"):  # a Fraction, a Decimal
            return float(value)
    OBJECTS.append(value)
    return ["object", len(OBJECTS) - 1, type(value).__name__, callable(value)]


def _encode_array(array, blobs: list[bytes]):
    values = np.asarray(array)
    if values.dtype.kind == "V":  # bfloat16
        values = values.astype(np.float32)
    if values.dtype.kind not in "biufcSU":
        return encode(values.tolist(), blobs)
    blobs.append(values.tobytes())
    kind = "scalar" if isinstance(array, np.generic) else "array"
    return [kind, values.dtype.str, list(values.shape)]


class _Unpickler(pickle.Unpickler):
    """Reads arguments; a function of the grader's becomes one that asks it."""

    def persistent_load(self, pid):
        kind, number = pid
        return OBJECTS[number] if kind == "object" else lambda *a, **k: _ask_back(number, a, k)


def _read(message: bytes):
    return _Unpickler(io.BytesIO(message)).load()


def _ask_back(number: int, arguments: tuple, options: dict):
    _reply("callback", [number, list(arguments), options])
    right, value = _read(GRADER.recv_bytes())
    if not right:
        raise RuntimeError(value)
    return value


def _reply(kind: str, value, changed: list | None = None) -> None:
    blobs: list[bytes] = []
    message = json.dumps([kind, encode(value, blobs), encode(changed, blobs), len(blobs)])
    GRADER.send_bytes(message.encode())
    for blob in blobs:
        GRADER.send_bytes(blob)


def serve() -> None:
    """Answer the grader's questions until it says that it has no more."""
    names = IPKernelApp.instance().shell.user_ns
    while question := GRADER.recv_bytes():
        try:
            modules, kind, target = _read(question)
            rest = GRADER.recv_bytes()
            for module in modules:
                importlib.import_module(module)
            arguments, options = _read(rest)
            before = [_state(argument) for argument in arguments]
            if kind == "name":
                value = names[target]
            elif kind == "attribute":
                value = getattr(OBJECTS[target], *arguments)
            else:
                value = OBJECTS[target](*arguments, **options)
            after = [_state(argument) for argument in arguments]
            pairs = zip(before, after, strict=True)
            _reply("value", value, [new if _differ(old, new) else None for old, new in pairs])
        except BaseException as error:  # KeyboardInterrupt too: it stops what takes too long
            _reply("error", [_builtin(type(error)), f"{error}"[:1000], type(error).__name__])


def _state(argument):
    """Return what of an argument can change; the grader's own then changes likewise."""
    if hasattr(argument, "get_weights"):
        return argument.get_weights()
    return copy.deepcopy(argument) if isinstance(argument, np.ndarray | list | dict | set) else None


def _differ(one, other) -> bool:
    return pickle.dumps(one) != pickle.dumps(other)


def _builtin(kind: type) -> str:
    return next(c.__name__ for c in kind.__mro__ if getattr(builtins, c.__name__, None) is c)


def main(descriptor: str, memory: str) -> None:
    """Become the kernel."""
    global GRADER
    for limit, most in (("AS", int(memory)), ("CORE", 0), ("FSIZE", 2**31)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{limit}"), (most, most))
    GRADER = Connection(int(descriptor))
    with open("connection.json", "wb") as file:
        file.write(GRADER.recv_bytes())
    with socket.socket(fileno=os.dup(GRADER.fileno())) as channel:
        socket.send_fds(channel, [b"."], [os.open(".", os.O_RDONLY)])  # where the sockets will be
    sys.modules["grade_kernel"] = sys.modules["__main__"]  # a name that the notebook leaves alone
    options = ["-f", "connection.json", "--HistoryManager.enabled=False"]
    IPKernelApp.launch_instance(options)


if __name__ == "__main__":
    main(*sys.argv[1:])
