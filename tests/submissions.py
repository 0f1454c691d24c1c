"""Right, odd and hostile submissions, each with what it must get: tests/test_grade.py grades them.

A case writes into a folder of its own; it gets the notebook as it is given out.
"""

import io
import json
import os
import zipfile
from dataclasses import dataclass

import nbformat
from nbformat.v4 import new_code_cell
from replica import as_saved_by_colab
from small_exercises import fill_in

NAME = "05_five"
DOUBLE = "def double(x):\n    return 2 * x"
RIGHT = {"E05_1": "answer = 11", "E05_2": DOUBLE}
ALL, FIRST, NONE = "1,2", "1,0", "0,0"


@dataclass
class Case:
    """How to write a submission, its points, and what its notes must mention; None: no notes."""

    write: object
    points: str = ALL
    note: str | None = None
    confined: bool = False


CASES: dict[str, Case] = {}


def case(points=ALL, note=None, confined=False, name=None):
    def register(function):
        CASES[name or function.__name__] = Case(function, points, note, confined)
        return function

    return register


def solved(given, **sources):
    return fill_in(given, **{**RIGHT, **sources})


def save(path, notebook, encoding="utf-8", time=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(notebook, ensure_ascii=False).encode(encoding))
    if time:
        os.utime(path, (time, time))


def cell(notebook, name):
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


def zipped(path, **files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


# Right answers in files of any kind.
FILES = {
    "plain": f"{NAME}.ipynb",
    "a_copy": f"Copy of {NAME}.ipynb",
    "capitals": f"{NAME.upper()}.IPYNB",
    "as_json": f"{NAME}.ipynb.json",
    "renamed": "homework.ipynb",
    "deeper": f"week5/mine/{NAME}.ipynb",
}
for title, file in FILES.items():
    case(name=title)(lambda folder, given, file=file: save(folder / file, solved(given)))
for encoding in ("utf-8-sig", "utf-16", "utf-16-le"):
    case(name=encoding)(
        lambda folder, given, e=encoding: save(folder / f"{NAME}.ipynb", solved(given), e)
    )


@case()
def a_zip(folder, given):
    zipped(folder / "mine.zip", **{f"week5/{NAME}.ipynb": json.dumps(solved(given))})


@case()
def a_zip_of_macos(folder, given):
    files = {f"{NAME}.ipynb": json.dumps(solved(given)), f"__MACOSX/._{NAME}.ipynb": b"\0\5\26\7"}
    zipped(folder / "mine.zip", **files, **{".DS_Store": b"\0\0\0\1Bud1"})


@case()
def a_zip_beside_the_folders(folder, given):
    zipped(folder.with_suffix(".zip"), **{f"{NAME}.ipynb": json.dumps(solved(given))})
    folder.rmdir()


@case(note=f"graded {NAME} (1).ipynb, not {NAME}.ipynb")
def solved_beside_untouched(folder, given):
    save(folder / f"{NAME} (1).ipynb", solved(given), time=1e9)
    save(folder / f"{NAME}.ipynb", given)


@case(note=f"graded new/{NAME}.ipynb, not {NAME}.ipynb")
def newer_version(folder, given):
    save(folder / f"{NAME}.ipynb", solved(given, E05_1="answer = 7"), time=1e9)
    save(folder / "new" / f"{NAME}.ipynb", solved(given), time=1.1e9)


@case(note="not graded: report.pdf")
def other_files_too(folder, given):
    save(folder / f"{NAME}.ipynb", solved(given))
    (folder / "report.pdf").write_bytes(b"%PDF")


# Right answers in notebooks that tools and people have changed.
@case()
def saved_by_colab(folder, given):
    save(folder / f"{NAME}.ipynb", as_saved_by_colab(solved(given)))


@case()
def metadata_lost(folder, given):
    notebook = solved(given)
    for each in notebook.cells:
        each.metadata.clear()
        del each["id"]
    save(folder / f"{NAME}.ipynb", notebook)


@case()
def format_3(folder, given):
    save(folder / f"{NAME}.ipynb", nbformat.convert(solved(given), 3))


@case(note="was turned into a markdown cell")
def type_changed(folder, given):
    notebook = solved(given)
    cell(notebook, "E05_1")["cell_type"] = "raw"
    save(folder / f"{NAME}.ipynb", notebook)


@case()
def answer_deleted_and_typed_anew(folder, given):
    notebook = solved(given)
    place = notebook.cells.index(cell(notebook, "E05_1"))
    notebook.cells[place] = new_code_cell("helper = 5\nanswer = 6 + helper")
    save(folder / f"{NAME}.ipynb", notebook)


def _typed(folder, given, offset):
    notebook = fill_in(given, E05_2=DOUBLE)
    place = notebook.cells.index(cell(notebook, "E05_1"))
    notebook.cells.insert(place + offset, new_code_cell("answer = 11"))
    save(folder / f"{NAME}.ipynb", notebook)


@case()
def answer_above_the_empty_cell(folder, given):
    _typed(folder, given, 0)


@case()
def answer_below_the_check(folder, given):
    _typed(folder, given, 2)


@case()
def answer_in_the_check(folder, given):
    save(folder / f"{NAME}.ipynb", fill_in(given, E05_2=DOUBLE, E05_1_check="answer = 11"))


@case()
def checks_deleted_and_shadowed(folder, given):
    notebook = solved(given)
    notebook.cells.remove(cell(notebook, "E05_1_check"))
    cell(notebook, "E05_2_check").source = "class np: pass"
    cell(notebook, "E05_2_check").metadata.nbgrader.points = 100
    save(folder / f"{NAME}.ipynb", notebook)


@case()
def noise_on_stderr(folder, given):
    loud = (
        "import sys, logging, warnings\ndef double(x):\n    warnings.warn('w')\n"
        "    logging.warning('l')\n    print('e', file=sys.stderr)\n    return 2 * x"
    )
    save(folder / f"{NAME}.ipynb", solved(given, E05_2=loud))


@case()
def half_a_surrogate(folder, given):
    path = folder / f"{NAME}.ipynb"
    path.write_text(json.dumps(solved(given, E05_1="answer = 11  # \ud800")))


@case()
def a_script_in_outputs(folder, given):
    show = (
        "answer = 11\nfrom IPython.display import HTML, display\n"
        "display(HTML('<script>alert(1)</script><img src=x onerror=alert(1)>'))\n"
        "print('<script>', 'x' * 10**6)"
    )
    notebook = solved(given, E05_1=show)
    notebook.cells[
        0
    ].source += "\n<script>alert(2)</script> [a](javascript:alert(3)) [b](../b.ipynb)"
    save(folder / f"{NAME}.ipynb", notebook)


# Files that are no notebooks.
@case(NONE, "it is no regular file")
def a_pipe(folder, given):
    os.mkfifo(folder / f"{NAME}.ipynb")


@case(NONE, "it is a link")
def a_link(folder, given):
    (folder / f"{NAME}.ipynb").symlink_to(folder.parent / "plain" / f"{NAME}.ipynb")


@case(NONE, "the link others")
def a_link_to_a_folder(folder, given):
    (folder / "others").symlink_to(folder.parent / "plain")


CONTENTS = {
    "empty": b"",
    "cut_off": b'{"cells": [{"cell_type": "code", "so',
    "bytes": bytes(range(256)),
    "nested": b'{"cells":' + b"[" * 100_000,
    "another_shape": b'{"cells": {"a": 1}}',
    "a_number_as_source": b'{"cells": [{"cell_type": "code", "source": 5}]}',
}
for title, content in CONTENTS.items():
    case(NONE, "is not a readable notebook", name=title)(
        lambda folder, given, c=content: (folder / f"{NAME}.ipynb").write_bytes(c)
    )


@case(NONE, "not read: mine.zip")
def a_damaged_zip(folder, given):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.ipynb", "{}")
    (folder / "mine.zip").write_bytes(buffer.getvalue()[:40])


@case(note="levels deep")
def folders_without_end(folder, given):
    save(folder / f"{NAME}.ipynb", solved(given))
    (folder / "/".join("d" * 400)).mkdir(parents=True)


@case(NONE, "not handed in")
def nothing(folder, given):
    pass


@case(name="=HYPERLINK(1)")
def formula(folder, given):
    save(folder / f"{NAME}.ipynb", solved(given))


# Code that aims at its grade, or at what others own. None of it knows an answer.
HOSTILE = {
    "replaced_library": (
        "import sys, types\nfake = types.ModuleType('checks')\nfake.require = fake.check = print\n"
        "import srcnn_tf.checks as checks\nchecks.require = checks.check = print\n"
        "sys.modules['srcnn_tf.checks'] = fake",
        "read its code: checks.require, sys.modules",
    ),
    "replaced_functions": (
        "import numpy as np, builtins\nnp.allclose = np.array_equal = lambda *a, **k: True\n"
        "np.testing.assert_allclose = print\nbuiltins.abs = lambda x: 0",
        "read its code: builtins",
    ),
    "changed_cells": (
        "shell = get_ipython()\n"
        "shell.input_transformers_cleanup.append(lambda lines: ['pass\\n'])\n"
        "shell.kernel.do_execute = print",
        "read its code: get_ipython",
    ),
    "read_frames": (
        "import sys\ndef double(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        for name in ('expected', 'right'):\n"
        "            if name in frame.f_locals: return frame.f_locals[name]\n"
        "        frame = frame.f_back",
        "read its code: _getframe",
    ),
    "equal_to_everything": (
        "class Equal(float):\n    def __eq__(self, other): return True\n"
        "    def __sub__(self, other): return 0.0\n    __rsub__ = __sub__\n"
        "    def __abs__(self): return 0.0\n    def __array__(self, *a, **k): return 1 / 0\n"
        "answer = Equal()\ndef double(x): return Equal()",
        None,
    ),
    "talks_to_the_grader": (
        "import grade_kernel, json\ngrade_kernel.GRADER.send_bytes(b'[\"value\", 11, [], 0]')\n"
        "def double(x):\n    grade_kernel.GRADER.send_bytes(b'\\xff[')",
        "read its code: grade_kernel",
    ),
    "changes_the_argument": ("def double(x):\n    try: x *= 2\n    finally: return x", None),
}
for title, (code, note) in HOSTILE.items():
    case(NONE, note, name=title)(
        lambda folder, given, c=code: save(folder / f"{NAME}.ipynb", fill_in(given, E05_1=c))
    )


@case(NONE, "the kernel died")
def ends_its_process(folder, given):
    save(folder / f"{NAME}.ipynb", fill_in(given, E05_1="import os; os._exit(0)", E05_2=DOUBLE))


@case(FIRST, "the kernel died")
def what_was_right_before_a_crash_counts(folder, given):
    save(folder / f"{NAME}.ipynb", solved(given, E05_2="import os; os._exit(0)"))


@case()
def sys_exit_in_a_cell(folder, given):
    save(folder / f"{NAME}.ipynb", solved(given, E05_1="answer = 11\nimport sys; sys.exit(0)"))


@case("0,2", "E05_1: stopped after 6 s")
def never_ends(folder, given):
    save(folder / f"{NAME}.ipynb", fill_in(given, E05_1="while True: pass", E05_2=DOUBLE))


@case(FIRST, "E05_2_check: stopped after 6 s")
def function_never_ends(folder, given):
    endless = "def double(x):\n    while True: pass"
    save(folder / f"{NAME}.ipynb", solved(given, E05_2=endless))


# What it finds of the outside it says by answering right.
OUTSIDE = """
import glob, os, socket
places = glob.glob('{submissions}/*') + glob.glob('{root}/notebooks/*') + glob.glob('{root}/t*')
written = []
library = os.environ['PYTHONPATH']
for folder in ('{submissions}', '{root}', '{out}', '{site}', '/usr', '/etc', library):
    try:
        open(folder + '/left-by-a-submission', 'w')
        written.append(folder)
    except OSError:
        pass
networks = [name for _, name in socket.if_nameindex()]
others = [p for p in os.listdir('/proc') if p.isdecimal() and int(p) > 1000]
try:
    open('big', 'wb').write(bytes(2**20) * 1100)
    written.append('more than a gigabyte')
except OSError:
    os.remove('big')
open('small', 'w').write('room enough')
answer = 0 if places or written or networks != ['lo'] or others else 11
"""
