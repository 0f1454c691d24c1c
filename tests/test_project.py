"""The project's own rules: pins, the repository's address, the form of lessons and exercises."""

import re
import tomllib
from pathlib import Path

import nbformat
import pytest
import replica
import run_lessons
import stamp
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
HEADING = re.compile(r"## (E(\d\d)\.\d) · \S.*? (★{1,3}) \((\d+) min, ([a-z ]+)\)\n")
KINDS = {"by hand", "in words", "in code", "experiment", "find the bug"}
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
    needed = [text for name in ("course", "dev", "export", "video") for text in extras[name]]
    for text in [*PROJECT["dependencies"], *needed]:
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
        if not found:
            assert declared.name in replica.setup_cell(LESSONS[0]), (
                "what Colab lacks, the cell adds"
            )
            continue
        (pin,) = found[0].specifier
        assert pin.version in declared.specifier, f"Colab has {pin.version}, outside {declared}"


# -- the repository's address ---------------------------------------------------------------------


def test_the_address_stands_in_one_place_and_in_stamped_forms():
    owner_name = stamp.repository(ROOT)
    folders = ("srcnn_tf", "notebooks", "tools", "tests", "speed", ".ci")
    files = [p for p in ROOT.iterdir() if p.is_file() and p.name != "pyproject.toml"]
    files += [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()]
    stamped = stamp.stamped_files(ROOT)
    for path in files:
        text = path.read_bytes().decode(errors="ignore")
        rest = stamp.FORMS.sub("", text) if path in stamped else text
        assert owner_name not in rest, f"{path.relative_to(ROOT)} has the address"


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


def test_the_index_has_a_sentence_and_a_picture_of_the_lesson(lesson):
    path, notebook = lesson
    entry = tomllib.loads((path.parent / "lessons.toml").read_text(encoding="utf-8"))[path.stem]
    assert re.search(r"\{[\w-]+:[+.\d]+f\}", entry["summary"])
    tags = [cell.metadata.get("tags", []) for cell in code_cells(notebook)]
    assert sum("cover" in t for t in tags) == 1


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


# -- the form of its exercises ---------------------------------------------------------------------


def test_exercises_of_a_lesson_have_the_form_of_the_house(lesson):
    pytest.importorskip("nbgrader", reason="splitting exercises needs srcnn-tf[instructor]")
    import assignments

    path, _ = lesson
    notebook = nbformat.read(path.parent / "solutions" / path.name, as_version=4)
    (_, head), *exercises = assignments.split(notebook)
    assert head[0].source.startswith(f"# Exercises {path.name[:2]} · ")
    assert f"blob/main/notebooks/exercises/{path.name})" in head[0].source
    assert 4 <= len(exercises) <= 6
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert max(len(source.splitlines()) for source in sources) <= 25
    for _, cells in exercises:  # a section that several need would be lost where one is assigned
        assert not any(c.source.startswith("## ") for c in cells[1:] if c.cell_type == "markdown")
    kinds, stars = set(), set()
    for number, (name, cells) in enumerate(exercises, 1):
        heading = HEADING.match(cells[0].source)
        assert heading, cells[0].source
        assert name == heading[1] == f"E{path.name[:2]}.{number}"
        kinds.add(heading[5])
        stars.add(len(heading[3]))
        graded = assignments.grade_cells(cells)
        if heading[5] == "in words":
            assert [cell.metadata.nbgrader.points for cell in graded] == [0]
            continue
        statement = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert "**Expected:**" in statement
        assert "<details><summary>Hint</summary>" in statement
        assert [cell.metadata.nbgrader.points for cell in graded] == [len(heading[3])]
        visible, hidden = graded[0].source.split("### BEGIN HIDDEN TESTS")
        assert f'checks.check("{name}", ' in visible
        assert f'require("{name}", ' in hidden
        assert "from srcnn_tf.checks import require" in hidden
    assert kinds <= KINDS
    assert kinds >= {"in code", "experiment", "find the bug"}
    assert kinds & {"by hand", "in words"}
    assert stars == {1, 2, 3}


def test_a_lesson_lists_its_exercises_as_they_are(lesson):
    path, notebook = lesson
    text = "\n".join(cell.source for cell in notebook.cells)
    assert f"](exercises/{path.name})" in text
    listed = re.findall(r"\*\*(E\d\d\.\d)\*\* (★+) \((\d+) min, ([a-z ]+)\)", text)
    solutions = nbformat.read(path.parent / "solutions" / path.name, as_version=4)
    headings = [HEADING.match(cell.source) for cell in solutions.cells]
    assert listed == [found.group(1, 3, 4, 5) for found in headings if found]
