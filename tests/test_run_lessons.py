import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
import replica
import run_lessons


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


def test_a_notebook_that_cannot_be_read_and_one_that_exits_stop_no_other(folder, capsys):
    write_lesson(folder, "02_marked", "STEPS = 1")
    marked = folder / "02_marked.ipynb"
    marked.write_text(marked.read_text(), encoding="utf-8-sig")
    write_lesson(folder, "03_cut", "STEPS = 1")
    cut = folder / "03_cut.ipynb"
    cut.write_text(cut.read_text()[:100])
    write_lesson(folder, "04_exits", "STEPS = 1", "import sys; sys.exit(0)")
    toml = "[01_good]\n[02_marked.fast]\nparameters = {STEPS = 2}\n[03_cut]\n[04_exits]"
    write_toml(folder, toml)
    assert run(folder, "-p", "STEPS", "3") == 1
    printed = capsys.readouterr().out
    assert re.search(r"^01_good +\d+\.\d  ok", printed, re.MULTILINE)
    assert "02_marked: 02_marked.ipynb cannot be read (it begins with a byte order mark)" in printed
    assert "03_cut: 03_cut.ipynb cannot be read" in printed
    assert "04_exits: In [3]: SystemExit: the lesson ends here; leave out sys.exit" in printed


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


SLIPS = {
    "profile": (["--profile", "quick"], "[01_good]", "(choose from 'fast', 'full')"),
    "lesson": (["--lesson", "7"], "[01_good]", "unknown lesson '7': there are 01_good"),
    "parameter": (["-p", "STEP", "3"], "[01_good]", "unknown parameter 'STEP': there are STEPS, "),
    "value": (["-p", "STEPS", "many"], "[01_good]", "STEPS = 'many' should be of type int"),
    "parameter in toml": ([], "[01_good.full]\nparameters = {STEP = 3}", "01_good.full: unknown"),
    "value in toml": ([], "[01_good.fast]\nparameters = {RATE = true}", "should be of type float"),
    "key": ([], "[01_good]\nexpects = {x = {min = 1}}", "[01_good] has 'expects', and may have"),
    "no parameters": (
        [],
        "[01_good]\n[02_bare.fast]\nparameters = {V = 1}",
        "unknown parameter 'V': there are none, since no cell is tagged parameters",
    ),
    "toml": ([], "\ufeff[01_good", "lessons.toml: "),
    "bound": ([], "[01_good]\nexpect = {x = {mini = 1}}", "x has 'mini', not min, max, equals"),
    "no notebook": ([], "[01_good]\n[02_gone]", "02_gone has no notebook"),
    "no entry": ([], "", "01_good has no entry"),
}


@pytest.mark.parametrize(("argv", "toml", "message"), SLIPS.values(), ids=SLIPS)
def test_slips_are_told_before_anything_runs(folder, capsys, argv, toml, message):
    write_toml(folder, toml)
    if "02_bare" in toml:
        nbformat.write(nbformat.v4.new_notebook(), folder / "02_bare.ipynb")
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
