"""The project's own rules: pins, the repository's address, the form of a lesson, the runner."""

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import readme_table
import replica
import run_lessons
import stamp
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
MAX_WORDS = {"03_srcnn": 1700, "06_training_choices": 2500}


def pins(file: str = "requirements.txt") -> dict[str, list[Requirement]]:
    """The lines of a file by package; a package may have one for each Python version."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / file).read_text().splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement = Requirement(line.split(" #")[0])
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


# -- dependencies ---------------------------------------------------------------------------------


def test_every_requirement_is_pinned():
    for requirements in pins().values():
        for requirement in requirements:
            assert [s.operator for s in requirement.specifier] == ["=="], requirement


def test_declared_dependencies_are_pinned_inside_their_ranges():
    extras = PROJECT["optional-dependencies"]
    for text in [*PROJECT["dependencies"], *extras["course"], *extras["dev"]]:
        declared = Requirement(text)
        found = pins().get(canonicalize_name(declared.name))
        assert found, f"{declared.name} is not in requirements.txt; run make requirements"
        for pin in found:
            (version,) = pin.specifier
            assert version.version in declared.specifier, f"{pin} is outside {declared}"


def test_environment_yml_reads_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    *conda, pip = environment["dependencies"]
    python, installer = map(Requirement, (text.replace("=", "==") for text in conda))
    (version,) = python.specifier
    assert python.name == "python"
    assert f"{version.version}.0" in Requirement(f"python{PROJECT['requires-python']}").specifier
    assert installer.name == "pip"
    assert pip == {"pip": ["-r requirements.txt", "-e ."]}


def test_colabs_own_packages_satisfy_the_declared_ranges():
    colab = pins("constraints-colab.txt")
    for declared in map(Requirement, PROJECT["dependencies"]):
        found = colab.get(canonicalize_name(declared.name))
        assert found, f"{declared.name} is not in Colab: its setup cell, --no-deps, will not do"
        (pin,) = found[0].specifier
        assert pin.version in declared.specifier, f"Colab has {pin.version}, outside {declared}"


# -- the repository's address ---------------------------------------------------------------------


def test_the_address_is_stamped_everywhere(capsys):
    assert stamp.main(["--check"]) == 0, capsys.readouterr().out


def test_the_address_stands_in_one_place_and_in_stamped_forms():
    owner_name = stamp.repository(ROOT)
    folders = ("srcnn_tf", "notebooks", "tools", "tests", "benchmarks", ".ci")
    files = [p for p in ROOT.iterdir() if p.is_file() and p.name != "pyproject.toml"]
    files += [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()]
    stamped = stamp.stamped_files(ROOT)
    for path in files:
        text = path.read_bytes().decode(errors="ignore")
        rest = stamp.FORMS.sub("", text) if path in stamped else text
        assert owner_name not in rest, f"{path.relative_to(ROOT)} has the address"


def test_stamp_writes_the_address_and_the_lesson_s_own_path(tmp_path):
    old = "https://colab.research.google.com/github/me/old.name/blob/main/notebooks/00_copied.ipynb"
    badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({old})"
    cells = [
        nbformat.v4.new_markdown_cell(f"{badge}\n\n# 01 · Größe\n\n[next]({old})"),
        nbformat.v4.new_code_cell("%pip install -q --no-deps git+https://github.com/me/old.name"),
        nbformat.v4.new_markdown_cell("Not ours: https://github.com/them/theirs"),
    ]
    lesson = tmp_path / "notebooks" / "01_size.ipynb"
    lesson.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), lesson)
    (tmp_path / "README.md").write_text(f"git clone https://github.com/me/old.name\n\n{badge}\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/a-b/c.d"\n'
    )
    before = lesson.read_text()
    assert stamp.main(["--check"], tmp_path) == 1
    assert lesson.read_text() == before
    assert stamp.main([], tmp_path) == 0
    assert stamp.main(["--check"], tmp_path) == 0
    first, setup, foreign = nbformat.read(lesson, as_version=4).cells
    assert "github/a-b/c.d/blob/main/notebooks/01_size.ipynb)\n" in first.source
    assert "[next](https://colab.research.google.com/github/a-b/c.d/blob/main/notebooks/00_" in (
        first.source
    )
    assert setup.source == "%pip install -q --no-deps git+https://github.com/a-b/c.d"
    assert foreign.source == cells[2].source
    assert lesson.read_text() == before.replace("me/old.name", "a-b/c.d").replace(
        "00_copied.ipynb)\\n", "01_size.ipynb)\\n", 1
    )
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("git clone https://github.com/a-b/c.d\n")
    assert "00_copied" in page


# -- the form of a lesson -------------------------------------------------------------------------


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    return request.param, nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    """The words of the markdown cells, without code, equations, addresses and markup."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for markup in (
        r"```.*?```",
        r"`[^`]*`",
        r"\$\$.*?\$\$",
        r"\$[^$\n]+\$",
        r"\]\([^)]*\)",
        r"<[^>]+>",
    ):
        text = re.sub(markup, " ", text, flags=re.DOTALL)
    return text


def test_lesson_opens_with_badge_and_one_title(lesson):
    path, notebook = lesson
    first = notebook.cells[0]
    badge = f"{stamp.repository(ROOT)}/blob/main/notebooks/{path.name})"
    assert first.cell_type == "markdown"
    assert "[![Open in Colab](" in first.source
    assert badge in first.source
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    titles = re.findall(r"^# .*", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    assert len(titles) == 1
    assert re.fullmatch(rf"# {path.name[:2]} · \S.*", titles[0])
    assert any("%pip install -q --no-deps git+" in cell.source for cell in code_cells(notebook))


def test_lessons_share_the_setup_cell():
    assert len({replica.setup_cell(path) for path in LESSONS}) == 1


def test_lesson_has_literal_parameters_and_ends_in_results(lesson):
    path, notebook = lesson
    tags = [cell.metadata.get("tags", []) for cell in code_cells(notebook)]
    assert sum("parameters" in t for t in tags) == 1
    assert run_lessons.read_parameters(path)
    assert [i for i, t in enumerate(tags) if "results" in t] == [len(tags) - 1]
    assert "results.json" in code_cells(notebook)[-1].source


def test_lesson_is_stored_clean(lesson):
    _, notebook = lesson
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    for cell in code_cells(notebook):
        assert not cell.outputs
        assert cell.execution_count is None


def test_lesson_has_the_measure_of_the_house(lesson):
    path, notebook = lesson
    assert 30 <= len(notebook.cells) <= 65
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 25, cell.source
    words = re.findall(r"[^\W\d_][\w’'-]*", prose(notebook))
    assert 900 <= len(words) <= MAX_WORDS.get(path.stem, 1500)
    assert not [word for word in words if word.lower() in ("simply", "just")]


# -- tools/run_lessons.py -------------------------------------------------------------------------


def write_lesson(folder: Path, name: str, *sources: str) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[0].metadata.tags = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{name}.ipynb")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a lesson that works, and a kernel of the user's own that does not."""
    for name in ("JUPYTER_PATH", "JUPYTER_PREFER_ENV_PATH", "MPLBACKEND"):
        monkeypatch.setenv(name, "")  # so that monkeypatch puts back what the runner sets
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "user"))
    stray = tmp_path / "user" / "kernels" / "python3"
    stray.mkdir(parents=True)
    spec = {"argv": ["false"], "display_name": "stray", "language": "python"}
    (stray / "kernel.json").write_text(json.dumps(spec))
    write_lesson(
        tmp_path,
        "01_good",
        "STEPS = 1\nRATE = 0.5\nNAME = 'a'",
        "import json, os, sys",
        "json.dump({'steps': STEPS, 'rate': RATE, 'python': sys.executable, 'cwd': os.getcwd()},"
        " open('results.json', 'w'))",
    )
    return tmp_path


def write_toml(folder: Path, text: str) -> None:
    (folder / "lessons.toml").write_text(text)


def run(folder: Path, *argv: str) -> int:
    return run_lessons.main(argv, folder, folder / "build")


def test_failing_lessons_do_not_hide_the_others(folder, capsys):
    write_lesson(folder, "02_raises", "STEPS = 1", "raise ValueError('no such\\nluck')")
    write_lesson(
        folder,
        "03_low",
        "GAIN = 0.31",
        'open(\'results.json\', \'w\').write(\'{"gain": %s, "ssim": NaN, "x": "y"}\' % GAIN)',
    )
    write_lesson(folder, "04_silent", "STEPS = 1")
    stale = folder / "build" / "04_silent" / "results.json"
    trained = stale.parent / "studies" / "arm" / "outcome.json"
    trained.parent.mkdir(parents=True)
    trained.write_text("{}")
    stale.write_text('{"gain": 1.0}')
    write_toml(
        folder,
        f"""
        [01_good]
        key_results = ["steps", "rate"]
        expect = {{steps = {{equals = 1}}, python = {{equals = {sys.executable!r}}}}}
        [01_good.fast]
        parameters = {{STEPS = 3}}
        expect = {{steps = {{equals = 3}}, rate = {{min = 0.5, max = 0.5}}}}
        [02_raises]
        [03_low]
        expect = {{gain = {{min = 0.5}}, other = {{max = 1}}}}
        [04_silent]
        """,
    )
    assert run(folder) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^01_good +\d+\.\d  ok      steps 3, rate 0\.5$", printed, re.MULTILINE)
    assert re.search(r"^02_raises +\d+\.\d  FAILED", printed, re.MULTILINE)
    assert "02_raises: In [2]: ValueError: no such luck\n" in printed
    assert "03_low: result gain = 0.31, expected at least 0.5\n" in printed
    assert "03_low: result ssim = nan, expected a finite number\n" in printed
    assert "03_low: result other is missing from results.json\n" in printed
    assert "04_silent: the lesson wrote no results.json\n" in printed
    assert trained.exists(), "what studies have trained is theirs to throw away"
    for name in ("01_good", "02_raises"):
        assert (folder / "build" / name / f"{name}.ipynb").exists()
        assert "<html" in (folder / "build" / name / f"{name}.html").read_text()
    results = json.loads((folder / "build" / "01_good" / "results.json").read_text())
    assert results["cwd"] == os.path.realpath(folder / "build" / "01_good")


def test_a_lesson_saved_by_colab_runs(folder, capsys):
    results = "open('results.json', 'w').write(f'{{\"steps\": {STEPS}}}')"  # shows what it returns
    write_lesson(folder, "01_good", "STEPS = 1", results)
    lesson = folder / "01_good.ipynb"
    saved = replica.as_saved_by_colab(json.loads(lesson.read_text()))
    assert saved["nbformat_minor"] == 0
    assert not any("id" in cell for cell in saved["cells"])
    lesson.write_text(json.dumps(saved))
    write_toml(folder, "[01_good.fast]\nparameters = {STEPS = 3}\nexpect = {steps = {equals = 3}}")
    assert run(folder) == 0, capsys.readouterr().out
    assert "<html" in (folder / "build" / "01_good" / "01_good.html").read_text()


def test_a_replica_takes_the_interpreter_that_is_named_or_says_which_it_needs(monkeypatch):
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setenv("PYTHON", sys.executable)
    assert replica.find_python(["3.10", here]) == (sys.executable, here)
    with pytest.raises(ValueError, match=r"needs Python 3\.10, and there is none at .*python"):
        replica.find_python(["3.10"])
    monkeypatch.setenv("PYTHON", "no-such-python")
    with pytest.raises(ValueError, match="name one by PYTHON=/path/to/python"):
        replica.find_python([here])


SLIPS = {
    "profile": (["--profile", "quick"], "[01_good]", "(choose from 'fast', 'full')"),
    "lesson": (["--lesson", "7"], "[01_good]", "unknown lesson '7': there are 01_good"),
    "parameter": (["-p", "STEP", "3"], "[01_good]", "unknown parameter 'STEP': there are STEPS, "),
    "value": (["-p", "STEPS", "many"], "[01_good]", "STEPS = 'many' should be of type int"),
    "parameter in toml": ([], "[01_good.full]\nparameters = {STEP = 3}", "01_good.full: unknown"),
    "value in toml": ([], "[01_good.fast]\nparameters = {RATE = true}", "should be of type float"),
    "key": ([], "[01_good]\nexpects = {x = {min = 1}}", "[01_good] has 'expects', and may have"),
    "bound": ([], "[01_good]\nexpect = {x = {mini = 1}}", "x has 'mini', not min, max, equals"),
    "no notebook": ([], "[01_good]\n[02_gone]", "02_gone has no notebook"),
    "no entry": ([], "", "01_good has no entry"),
}


@pytest.mark.parametrize(("argv", "toml", "message"), SLIPS.values(), ids=SLIPS)
def test_slips_are_told_before_anything_runs(folder, capsys, argv, toml, message):
    write_toml(folder, toml)
    with pytest.raises(SystemExit) as stopped:
        run(folder, *argv)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (folder / "build").exists()


def test_parameters_of_the_command_line_take_the_type_they_have_in_the_lesson(folder):
    write_toml(folder, "[01_good.fast]\nparameters = {RATE = 2.0}")
    (lesson,) = run_lessons.select(run_lessons.read_lessons(folder, "fast"), ["1"])
    for name, text in (("STEPS", "7"), ("RATE", "1e-4"), ("NAME", "7")):
        run_lessons.override(lesson, name, text)
    assert lesson.parameters == {"STEPS": 7, "RATE": 1e-4, "NAME": "7"}


# -- README ---------------------------------------------------------------------------------------


def test_the_results_table_is_the_one_that_the_csv_gives():
    rows = readme_table.from_csv((ROOT / "docs" / "results.csv").read_text())
    assert readme_table.table(rows) in (ROOT / "README.md").read_text(), "run make table"
