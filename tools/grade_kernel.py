"""The process that a submission runs in, confined: grade_worker.py starts it and asks it.

It executes cells and answers questions. What is asked for goes out as data: numbers, texts, arrays,
lists. Functions and models stay here and are called from outside, with arguments that come in. No
test and no right answer is ever in here, so a submission that changes this file's objects changes
only what it answers.
"""

import base64
import builtins
import contextlib
import io
import json
import pickle
import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection

import numpy as np
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

MOST_CHARACTERS = 2 * 10**7  # of output; more is nobody's wish
LINE: Connection  # to the process that asks
OBJECTS: list = []  # what has gone out, by its number
SHOWN: list[dict] = []  # outputs since the last answer
shown_characters = 0


def _show(kind: str, **content) -> None:
    global shown_characters
    shown_characters += len(str(content))
    if shown_characters < MOST_CHARACTERS:
        SHOWN.append({"output_type": kind, **content})


class _Stream(io.TextIOWrapper):
    """Standard output or error: what is written becomes an output of the cell."""

    def __init__(self, kind: str):
        super().__init__(open("/dev/null", "wb"), encoding="utf-8")  # noqa: SIM115, stays open
        self.kind = kind

    def write(self, text: str) -> int:
        _show("stream", name=self.kind, text=str(text))
        return len(text)


class _Publisher(DisplayPublisher):
    def publish(self, data, *_, **__) -> None:
        _show("display_data", data=data, metadata={})


class _Hook(DisplayHook):
    def write_output_prompt(self) -> None:
        pass

    finish_displayhook = write_output_prompt

    def write_format_data(self, format_dict, md_dict=None) -> None:
        _show("display_data", data=format_dict, metadata={})


class _Shell(InteractiveShell):
    display_pub_class = Type(_Publisher)
    displayhook_class = Type(_Hook)

    def enable_gui(self, gui=None) -> None:
        """Have no windows: figures are displayed."""

    def _showtraceback(self, etype, evalue, stb) -> None:
        _show("error", ename=etype.__name__, evalue=str(evalue), traceback=list(stb))


def encode(value):
    """Return a value as JSON can hold it."""
    if value is None or isinstance(value, bool):
        return value
    if value is ...:
        return ["stub"]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return ["bytes", base64.b64encode(value).decode()]
    if isinstance(value, np.ndarray | np.generic):
        return _encode_array(value)
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if isinstance(value, dict):
        return ["dict", [[encode(key), encode(each)] for key, each in value.items()]]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return [kind.__name__, [encode(each) for each in value]]
    if isinstance(value, range):
        return ["list", list(value)]
    if not callable(value):
        if hasattr(value, "__array__"):  # TensorFlow's, Keras's, pandas'
            return _encode_array(np.asarray(value))
        if hasattr(value, "__float__"):  # a Fraction, a Decimal
            return float(value)
    OBJECTS.append(value)
    return ["object", len(OBJECTS) - 1, type(value).__name__, callable(value)]


def _encode_array(array):
    values = np.asarray(array)
    if values.dtype.kind == "V":  # bfloat16
        values = values.astype(np.float32)
    if values.dtype.kind not in "biufcSU":
        return encode(values.tolist())
    kind = "scalar" if isinstance(array, np.generic) else "array"
    data = base64.b64encode(values.tobytes()).decode()
    return [kind, values.dtype.str, list(values.shape), data]


class _Unpickler(pickle.Unpickler):
    """Reads what the grader sends; a function of its own becomes one that asks it."""

    def persistent_load(self, pid):
        kind, number = pid
        return OBJECTS[number] if kind == "object" else lambda *a, **k: _ask_back(number, a, k)

    def find_class(self, module, name):
        if module.startswith("keras"):  # it must know our layers before it reads a model
            import srcnn_tf  # noqa: F401
        return super().find_class(module, name)


def _read(message: bytes):
    return _Unpickler(io.BytesIO(message)).load()


def _ask_back(number: int, arguments: tuple, options: dict):
    LINE.send_bytes(_reply("callback", [number, list(arguments), options]))
    right, value = _read(LINE.recv_bytes())
    if not right:
        raise RuntimeError(value)
    return value


def _reply(kind: str, value, changed: list | None = None) -> bytes:
    shown = SHOWN[:]
    del SHOWN[: len(shown)]
    return json.dumps([kind, encode(value), encode(changed), shown], default=_plain).encode()


def _plain(value) -> str:
    """Return what a display holds and JSON does not."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _answer(shell: _Shell, kind: str, target, arguments: tuple, options: dict) -> bytes:
    before = [pickle.dumps(_state(argument)) for argument in arguments]
    match kind:
        case "execute":
            shell.run_cell(target, store_history=True)
            value = None
        case "name":
            value = shell.user_ns[target]
        case "attribute":
            value = getattr(OBJECTS[target], *arguments)
        case _:
            value = OBJECTS[target](*arguments, **options)
    after = [_state(argument) for argument in arguments]
    pairs = zip(before, after, strict=True)
    return _reply("value", value, [new if pickle.dumps(new) != old else None for old, new in pairs])


def _state(argument):
    """Return what of an argument can change; the grader's own then changes likewise."""
    if hasattr(argument, "get_weights"):
        return argument.get_weights()
    return argument if isinstance(argument, np.ndarray | list | dict | set) else None


def _error(error: BaseException) -> bytes:
    """Return an error by the name of the built-in class next to it, with its text."""
    names = (c.__name__ for c in type(error).__mro__ if getattr(builtins, c.__name__, None) is c)
    text = "".join(traceback.format_exception_only(error)).partition(": ")[2].strip()
    return _reply("error", [next(names), text[:1000], type(error).__name__])


def main(descriptor: str, memory: str, threads: str) -> None:
    """Answer the grader until it is gone."""
    global LINE
    limits = {"AS": int(memory), "CORE": 0, "FSIZE": 2**31, "NPROC": int(threads)}
    for limit, most in limits.items():
        with contextlib.suppress(ValueError):  # macOS has other opinions on what can be limited
            resource.setrlimit(getattr(resource, f"RLIMIT_{limit}"), (most, most))
    LINE = Connection(int(descriptor))
    sys.path[0] = ""  # as in a notebook
    sys.stdout, sys.stderr = _Stream("stdout"), _Stream("stderr")
    config = Config()
    config.HistoryManager.enabled = False
    shell = _Shell.instance(config=config, colors="nocolor")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    LINE.send_bytes(_reply("value", None))
    while True:
        try:
            question = LINE.recv_bytes()
        except EOFError:
            break
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            reply = _answer(shell, *_read(question))
        except BaseException as error:  # KeyboardInterrupt too: it stops what takes too long
            reply = _error(error)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        LINE.send_bytes(reply)


if __name__ == "__main__":
    main(*sys.argv[1:])
