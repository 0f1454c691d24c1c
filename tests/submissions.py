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
DATE = bytes([0, 0, 0x21, 0])  # 1 January 1980, as zip files write it


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
    text = json.dumps(notebook, ensure_ascii=False)
    path.write_bytes(text.encode(encoding, "surrogatepass"))
    if time:
        os.utime(path, (time, time))


def writes(**sources):
    return lambda folder, given: save(folder / f"{NAME}.ipynb", solved(given, **sources))


def cell(notebook, name):
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


def zipped(path, **files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)


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
def a_zip_without_dates(folder, given):
    zipped(folder / "mine.zip", **{f"{NAME}.ipynb": json.dumps(solved(given))})
    content = (folder / "mine.zip").read_bytes()
    (folder / "mine.zip").write_bytes(content.replace(DATE, bytes(4)))


@case()
def a_zip_in_a_zip(folder, given):
    zipped(folder / "inner.zip", **{f"{NAME}.ipynb": json.dumps(solved(given))})
    zipped(folder / "mine.zip", **{"inner.zip": (folder / "inner.zip").read_bytes()})
    (folder / "inner.zip").unlink()


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


def _both_in_one(folder, given, place):
    notebook = nbformat.from_dict(given)
    notebook.cells.insert(place, new_code_cell(f"answer = 11\n{DOUBLE}"))
    save(folder / f"{NAME}.ipynb", notebook)


@case()
def all_answers_in_one_cell_at_the_top(folder, given):
    _both_in_one(folder, given, 0)


@case()
def all_answers_in_one_cell_at_the_end(folder, given):
    _both_in_one(folder, given, len(given.cells))


@case()
def both_answers_in_the_first(folder, given):
    save(folder / f"{NAME}.ipynb", fill_in(given, E05_1=f"answer = 11\n{DOUBLE}"))


@case()
def a_copy_of_the_empty_cell_below(folder, given):
    notebook = solved(given)
    place = notebook.cells.index(cell(notebook, "E05_1"))
    notebook.cells.insert(place + 1, nbformat.from_dict(cell(given, "E05_1")))
    save(folder / f"{NAME}.ipynb", notebook)


def _with_a_last_cell(folder, given, last, **sources):
    notebook = solved(given, **sources)
    notebook.cells.append(new_code_cell(last))
    save(folder / f"{NAME}.ipynb", notebook)


@case()
def changed_by_a_later_cell(folder, given):
    _with_a_last_cell(folder, given, "answer += 10", E05_1="answer = 1")


@case()
def helped_by_a_later_cell(folder, given):
    late = "def double(x):\n    return helper(x)"
    _with_a_last_cell(folder, given, "def helper(x): return 2 * x", E05_2=late)


@case()
def right_and_used_for_something_else_later(folder, given):
    _with_a_last_cell(folder, given, "answer = double = 3")


# Right answers of unusual kinds.
NUMBERS = {
    "numpy_scalar": "import numpy as np\nanswer = np.int64(11)",
    "zero_dimensions": "import numpy as np\nanswer = np.array(11)",
    "fraction": "from fractions import Fraction\nanswer = Fraction(22, 2)",
    "cell_magic": "%%time\nanswer = 11",
    "line_magic": "%time answer = 11\n!echo hi",
    "inline_figures": "%matplotlib inline\nanswer = 11",
    "top_level_await": "async def eleven(): return 11\nanswer = await eleven()",
    "module_of_its_own": "open('own.py', 'w').write('e = 11')\nfrom own import e as answer",
    "then_an_error": "answer = 11\n1 / 0",
    "no_print_any_more": "import io, sys\nanswer = 11\nprint, sys.stdout = None, io.StringIO()",
    "half_a_surrogate": "answer = 11  # \ud800",
    "half_a_surrogate_printed": "answer = 11\nprint('\\ud800')",
    "prints_very_much": "answer = 11\nprint('x' * 3 * 10**7)",
    "loud": "import logging, tqdm\nlogging.warning('l')\nanswer = max(tqdm.tqdm(range(12)))",
}
FUNCTIONS = {
    "lambda": "double = lambda x: x + x",
    "partial": "import functools, operator\ndouble = functools.partial(operator.mul, 2)",
    "object": "class Double:\n    def __call__(self, x): return 2 * x\ndouble = Double()",
    "noise_on_stderr": (
        "import sys, logging, warnings\ndef double(x):\n    warnings.warn('w')\n"
        "    logging.warning('l')\n    print('e', file=sys.stderr)\n    return 2 * x"
    ),
}
for title, source in NUMBERS.items():
    case(name=title)(writes(E05_1=source))
for title, source in FUNCTIONS.items():
    case(name=title)(writes(E05_2=source))


@case()
def shows_a_script(folder, given):
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


@case(NONE, "others (a link to a folder)")
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
        "read its code: checks.require, srcnn_tf.checks, sys.modules",
    ),
    "replaced_functions": (
        "import numpy as np, builtins\nnp.allclose = np.array_equal = lambda *a, **k: True\n"
        "np.testing.assert_allclose = print\nbuiltins.abs = lambda x: 0",
        "read its code: builtins",
    ),
    "changed_cells": (
        "shell = get_ipython()\n"
        "shell.input_transformers_cleanup.append(lambda lines: ['pass\\n'])\n"
        "shell.run_cell = print",
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
    "speaks_for_the_kernel": (
        'import json\njson.dumps = lambda *_, **__: \'["value", true, [], [{"a": 1}]]\'',
        "no feedback page",
    ),
    "its_own_modules": (
        "class math: isclose = lambda *_: True\n"
        "class np:\n    arange = lambda _: 0\n    class testing: assert_allclose = print\n"
        "double = abs",
        None,
    ),
    "never_a_number": (
        "import numpy as np\nanswer = np.nan\ndef double(x): return np.full(np.shape(x), np.nan)",
        None,
    ),
    "changes_the_argument": ("def double(x):\n    try: x *= 2\n    finally: return x", None),
    "clears_the_argument": ("def double(x):\n    try: x[...] = 0\n    finally: return x", None),
    "cannot_be_stopped": (
        "import time\nwhile True:\n    try: time.sleep(100)\n    except BaseException: pass",
        "stopped",
    ),
    "forks_without_end": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        f"{NAME}: ",
    ),
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


@case("0,2", "E05_1: stopped after 9 s")
def never_ends(folder, given):
    save(folder / f"{NAME}.ipynb", fill_in(given, E05_1="while True: pass", E05_2=DOUBLE))


@case(FIRST, "E05_2_check: stopped after 9 s")
def function_never_ends(folder, given):
    endless = "import time\ndef double(x): time.sleep(100)"
    save(folder / f"{NAME}.ipynb", solved(given, E05_2=endless))


HALF_A_WORD = """
import os, time
for descriptor in range(3, 20):
    try:
        os.write(descriptor, b"\\0\\0\\0\\x10")
    except OSError:
        pass
time.sleep(100)
"""

# What it finds of the outside it says by answering wrong.
OUTSIDE = """
import glob, os, socket
places = glob.glob('{submissions}/*') + glob.glob('{root}/notebooks/*') + glob.glob('{root}/t*')
written = []
library = os.environ['PYTHONPATH']
for folder in ('{submissions}', '{out}', '{root}', '{site}', '/usr', '/etc', library):
    try:
        open(folder + '/left-by-a-submission', 'w')
        written.append(folder)
    except OSError:
        pass
networks = [name for _, name in socket.if_nameindex()]
others = [p for p in os.listdir('/proc') if p.isdecimal() and int(p) > 1000]
try:
    with open('big', 'wb') as file:
        os.posix_fallocate(file.fileno(), 0, 1100 * 2**20)
    written.append('more than a gigabyte')
except OSError:
    os.remove('big')
open('small', 'w').write('room enough')
answer = 0 if places or written or networks != ['lo'] or others else 11
"""


def outside(submissions, out, root, site):
    return OUTSIDE.format(submissions=submissions, out=out, root=root, site=site)
