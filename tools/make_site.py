"""Make a website of the executed lessons, an index page before them: `make site`.

The pages in build/site/ load nothing from anywhere. A lesson that has not been executed yet is run
in the fast profile first.
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lesson_page
import nbformat
import run_lessons
from nbformat import NotebookNode
from run_lessons import PROFILES, Lesson

ROOT = Path(__file__).resolve().parent.parent
# Full before fast: where the two have the same parameters, the lesson is as a learner runs it.
PROFILE_WORDS = {
    "full": "full profile: the lesson as you run it",
    "fast": "fast profile: embedded photographs, short training",
}
INTRODUCTION = """# Image super-resolution with Keras

A course in notebooks: from "what is a low-resolution image" to networks scored under the
literature's exact protocol, on a laptop CPU, in minutes. Each page is a lesson with what its
execution gave; the badge opens the lesson in Colab, and the rest is in
[the repository](../README.md).
"""


def is_executed(lesson: Lesson, build: Path) -> bool:
    """Tell whether a lesson has been executed to its end."""
    folder = build / lesson.name
    return (folder / lesson.notebook.name).exists() and (folder / "results.json").exists()


def read_executed(lessons: dict[str, Lesson], build: Path) -> tuple[str, Lesson, NotebookNode]:
    """Find the profile that a lesson was executed in, and read its results and its notebook.

    Args:
        lessons: profile to the lesson in that profile.
        build: where the executed lessons are.

    Raises:
        ValueError: it was executed in none of them, or its results are not as expected.
    """
    lesson = lessons["full"]
    executed = nbformat.read(build / lesson.name / lesson.notebook.name, as_version=4)
    ran = executed.metadata.get("papermill", {}).get("parameters")
    profile = next((name for name in PROFILE_WORDS if lessons[name].parameters == ran), None)
    if not profile or sources(executed) != sources(nbformat.read(lesson.notebook, as_version=4)):
        raise ValueError(
            f"{lesson.name}: what was executed is another version of the lesson, or had parameters "
            f"of its own; `make notebooks LESSON={lesson.name[:2]}` executes it anew"
        )
    lesson = lessons[profile]
    run_lessons.check_results(lesson, build / lesson.name / "results.json")
    if lesson.failures:
        raise ValueError("\n".join(f"{lesson.name}: {failure}" for failure in lesson.failures))
    return profile, lesson, executed


def sources(notebook: NotebookNode) -> list[str]:
    """Return what the cells of a notebook say, without the parameters that papermill injects."""
    return [
        cell.source
        for cell in notebook.cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]


def index_entry(lesson: Lesson, notebook: NotebookNode, profile: str) -> str:
    """Return a lesson's entry of the index: its head, its key results, and where they are from."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    badge = re.search(r"^\[!\[.*", "\n".join(texts), re.MULTILINE)
    head = next((text for text in texts if "**Time" in text), None)
    if not (badge and head):
        raise ValueError(f"{lesson.name}: no Colab badge, or no cell with **Time** and minutes")
    results = " · ".join(result(name, lesson.results[name]) for name in lesson.key_results)
    return f"""## [{lesson_page.title(notebook)}]({lesson.notebook.name})

{badge[0]}

{head}

**Results** ({PROFILE_WORDS[profile]}): {results}
"""


def result(name: str, value: Any) -> str:
    """Return a result in words: `psnr_gain_db` and 0.5123 give "psnr gain **0.5123 dB**"."""
    words, unit = name.replace("_", " "), ""
    if words.endswith(" db"):
        words, unit = words[:-3], " dB"
    return f"{words} **{value:.4g}{unit}**" if isinstance(value, float) else f"{words} **{value}**"


def make_pages(folder: Path, build: Path) -> dict[str, str]:
    """Return the site: file name to HTML.

    Raises:
        ValueError: lessons whose executed notebooks or results do not fit, a line each.
    """
    profiles = [run_lessons.read_lessons(folder, profile) for profile in PROFILES]
    pages, entries, wrong = {}, [INTRODUCTION], []
    for lessons in zip(*profiles, strict=True):
        in_profiles = dict(zip(PROFILES, lessons, strict=True))
        try:
            profile, lesson, notebook = read_executed(in_profiles, build)
            entries.append(index_entry(lesson, notebook, profile))
            header = (
                '<nav class="jp-RenderedHTMLCommon"><a href="index.html">All lessons</a>'
                f" · {PROFILE_WORDS[profile]}</nav>"
            )
            pages[f"{lesson.name}.html"] = lesson_page.render(notebook, header=header)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("\n".join(wrong))
    index = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_markdown_cell, entries)))
    return {"index.html": lesson_page.render(index)} | pages


def main(
    argv: Sequence[str] | None = None,
    folder: Path = ROOT / "notebooks",
    build: Path = ROOT / "build",
) -> int:
    """Execute what has not been executed, write the site, and return the exit status.

    Args:
        argv: the command line's arguments.
        folder: where lessons.toml and the notebooks are.
        build: where the executed lessons are, and where the folder `site` is made.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args(argv)
    try:
        lessons = run_lessons.read_lessons(folder, "fast")
        missing = [f"--lesson={one.name}" for one in lessons if not is_executed(one, build)]
        if missing and run_lessons.main(missing, folder, build):
            raise ValueError("A lesson failed; the table above says why.")
        pages = make_pages(folder, build)
    except ValueError as error:
        print(f"{error}\nNo site was made.", file=sys.stderr)
        return 1
    site = build / "site"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for name, page in pages.items():
        (site / name).write_text(page, encoding="utf-8")
    print(f"{len(pages) - 1} lessons and their index: {os.path.relpath(site)}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
