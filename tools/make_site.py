"""Make a website of the executed lessons, an index with search before them: `make site`.

The pages in build/site/ load nothing from anywhere; one of them, which needs a web server,
enlarges photographs (see `make_browser.py`). A lesson that has not been executed is run
first: in the full profile where its image sets are at hand, else in the fast one.
"""

import argparse
import html
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import lesson_page
import make_browser
import nbformat
import run_lessons
from nbformat import NotebookNode
from run_lessons import PROFILES, Lesson

from srcnn_tf import datasets

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
SEARCH_BOX = (
    '<form action="index.html"><input type="search" name="q" placeholder="Search the course" '
    'aria-label="Search the course"></form>'
)
PHOTOGRAPH = '<a href="photograph/index.html">Enlarge your own photograph</a>, in your browser.'
# Sections that hold every word, as links. `texts` is a list of [page, anchor, heading, text].
SEARCH = """<div id="found" class="jp-RenderedHTMLCommon"></div>
<script id="texts" type="application/json">{texts}</script>
<script>
const texts = JSON.parse(document.getElementById("texts").textContent);
const box = document.querySelector("input[name=q]"), found = document.getElementById("found");
function search() {{
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  found.replaceChildren();
  if (!words.length) return;
  const hits = texts.filter(it => words.every(w => it.join(" ").toLowerCase().includes(w)));
  const line = document.createElement("p");
  line.textContent = hits.length ? `${{hits.length}} sections found` : "Nothing found";
  found.append(line);
  for (const [page, anchor, heading, text] of hits) {{
    const item = document.createElement("p"), link = document.createElement("a");
    link.href = page + anchor;
    link.textContent = heading;
    const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 60);
    item.append(link, document.createElement("br"), text.slice(at, at + 160));
    found.append(item);
  }}
}}
box.value = new URLSearchParams(location.search).get("q") || "";
box.form.addEventListener("submit", event => event.preventDefault());
box.addEventListener("input", search);
search();
</script>"""


def sets_of(notebook: NotebookNode) -> set[str]:
    """Return the image sets that the cells of a lesson name."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    words = {word for text in re.findall(r'"([^"\n]*)"', code) for word in text.split("+")}
    return words & {*datasets.REGISTRIES, "tf_flowers"}


def best_profile(lesson: Lesson) -> str:
    """Return "full" if the image sets of a lesson are in the cache, else "fast"."""
    names = sets_of(nbformat.read(lesson.notebook, as_version=4))
    folders = {"tfds" if name == "tf_flowers" else name for name in names}
    at_hand = all((datasets.cache_folder() / folder).is_dir() for folder in folders)
    return "full" if at_hand else "fast"


def is_executed(lesson: Lesson, build: Path) -> bool:
    """Tell whether a lesson has been executed to its end."""
    folder = build / lesson.name
    return (folder / lesson.notebook.name).exists() and (folder / "results.json").exists()


def executed_profile(lessons: dict[str, Lesson], build: Path) -> str | None:
    """Return the profile that a lesson was executed in, None for parameters of its own."""
    lesson = lessons["full"]
    notebook = nbformat.read(build / lesson.name / lesson.notebook.name, as_version=4)
    ran = notebook.metadata.get("papermill", {}).get("parameters")
    return next((one for one in PROFILE_WORDS if lessons[one].parameters == ran), None)


def read_executed(lessons: dict[str, Lesson], build: Path) -> tuple[str, Lesson, NotebookNode]:
    """Find the profile that a lesson was executed in, and read its results and its notebook.

    Args:
        lessons: profile to the lesson in that profile.
        build: where the executed lessons are.

    Raises:
        ValueError: it was executed in none of them, or its results are not as expected.
    """
    lesson, profile = lessons["full"], executed_profile(lessons, build)
    executed = nbformat.read(build / lesson.name / lesson.notebook.name, as_version=4)
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
    """Return a lesson's entry of the index: its picture, its time and its result in words."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    badge = re.search(r"^\[!\[.*", "\n".join(texts), re.MULTILINE)
    minutes = re.search(r"\*\*Time.*?(?=\n\n|$)", "\n\n".join(texts), re.DOTALL)
    if not (badge and minutes):
        raise ValueError(f"{lesson.name}: no Colab badge, or no **Time** with minutes")
    heading = lesson_page.title(notebook)
    picture = cover(notebook)
    if picture:
        picture = (
            f'<a href="{lesson.name}.html"><img class="cover" alt="A figure of lesson '
            f'{lesson.name[:2]}" src="data:image/png;base64,{picture}"></a>\n'
        )
    return f"""## [{heading}]({lesson.notebook.name})

{picture}
{lesson.summary.format_map(lesson.results)}
({PROFILE_WORDS[profile]}.)

{minutes[0]}

{badge[0]}
"""


def cover(notebook: NotebookNode) -> str:
    """Return the picture of the cell tagged "cover" in base64, or nothing."""
    cells = [cell for cell in notebook.cells if "cover" in cell.metadata.get("tags", [])]
    data = [output.get("data", {}) for cell in cells for output in cell.outputs]
    return next((one["image/png"].replace("\n", "") for one in data if "image/png" in one), "")


def first_slider(notebooks: Sequence[NotebookNode]) -> str:
    """Return the HTML of the first before/after slider that a lesson shows, or nothing."""
    cells = [cell for notebook in notebooks for cell in notebook.cells if cell.cell_type == "code"]
    pages = [output.get("data", {}).get("text/html", "") for c in cells for output in c.outputs]
    return next((page for page in pages if 'class="before-after"' in page), "")


def sections(page: str, lesson: str, heading: str) -> list[list[str]]:
    """Cut a page into its sections for the search: [page, anchor, heading, text] of each."""
    body = page.split("<main>")[-1].split("<!-- footer -->")[0]
    found = []
    for part in re.split(r'(?=<h[23] id=")', body):
        anchor = re.match(r'<h[23] id="([^"]*)">(.*?)<a class="anchor-link"', part, re.DOTALL)
        words = re.sub(r"<(style|script|svg)\b.*?</\1>|<[^>]*>", " ", part, flags=re.DOTALL)
        text = " ".join(html.unescape(words).replace("¶", " ").split())
        name = f"{heading} · {plain(anchor[2])}" if anchor else heading
        found.append([f"{lesson}.html", f"#{anchor[1]}" if anchor else "", name, text])
    return found


def plain(markup: str) -> str:
    """Return the text of a piece of HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


def navigation(names: Sequence[str], number: int, titles: Sequence[str]) -> str:
    """Return links to the lessons before and after a lesson."""
    links = ['<a href="index.html">All lessons</a>']
    if number:
        links.insert(0, f'<a rel="prev" href="{names[number - 1]}.html">← {titles[number - 1]}</a>')
    if number + 1 < len(names):
        links.append(f'<a rel="next" href="{names[number + 1]}.html">{titles[number + 1]} →</a>')
    return " · ".join(links)


def make_pages(folder: Path, build: Path, more: str = "") -> dict[str, str]:
    """Return the site: file name to HTML.

    Args:
        folder: where lessons.toml and the notebooks are.
        build: where the executed lessons are.
        more: HTML at the head of the index.

    Raises:
        ValueError: lessons whose executed notebooks or results do not fit, a line each.
    """
    done, wrong = [], []
    for in_profiles in read_lessons(folder):
        try:
            done.append(read_executed(in_profiles, build))
        except ValueError as error:
            wrong.append(str(error))
    names = [lesson.name for _, lesson, _ in done]
    titles = [lesson_page.title(notebook).replace("`", "") for _, _, notebook in done]
    pages, entries, texts = {}, [], []
    for number, (profile, lesson, notebook) in enumerate(done):
        try:
            entries.append(index_entry(lesson, notebook, profile))
            links = navigation(names, number, titles)
            header = (
                f'<nav class="jp-RenderedHTMLCommon">{SEARCH_BOX}{links}'
                f"<br>{PROFILE_WORDS[profile]}</nav>"
            )
            footer = f'<!-- footer --><nav class="jp-RenderedHTMLCommon">{links}</nav>'
            page = lesson_page.render(notebook, header=header, footer=footer)
        except ValueError as error:
            wrong.append(str(error))
            continue
        pages[f"{lesson.name}.html"] = page
        texts += sections(page, lesson.name, titles[number])
    if wrong:
        raise ValueError("\n".join(wrong))
    cells = [INTRODUCTION, first_slider([notebook for *_, notebook in done]), *entries]
    index = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(text) for text in cells if text]
    )
    search = SEARCH.format(texts=json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c"))
    header = f'<nav class="jp-RenderedHTMLCommon">{SEARCH_BOX}{more}</nav>{search}'
    return {"index.html": lesson_page.render(index, header=header)} | pages


def read_lessons(folder: Path) -> list[dict[str, Lesson]]:
    """Return the lessons of a folder, each in every profile."""
    lessons = zip(*(run_lessons.read_lessons(folder, one) for one in PROFILES), strict=True)
    return [dict(zip(PROFILES, one, strict=True)) for one in lessons]


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
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        help="show lessons executed in this profile or better, instead of what the sets allow",
    )
    chosen = parser.parse_args(argv).profile
    try:
        for lessons in read_lessons(folder):
            name, wanted = lessons["full"].name, chosen or best_profile(lessons["full"])
            kept = ("full", wanted, None)  # `make_pages` says what does not fit
            if is_executed(lessons["full"], build) and executed_profile(lessons, build) in kept:
                continue
            if run_lessons.main([f"--lesson={name}", f"--profile={wanted}"], folder, build):
                raise ValueError("A lesson failed; the table above says why.")
        with tempfile.TemporaryDirectory(dir=build) as made:
            photograph = Path(made) / "photograph"
            more = PHOTOGRAPH
            try:
                make_browser.make(photograph)
            except (ImportError, OSError) as error:
                print(f"The page that enlarges photographs is left out: {error}")
                shutil.rmtree(photograph, ignore_errors=True)
                more = ""
            pages = make_pages(folder, build, more)
            site = build / "site"
            shutil.rmtree(site, ignore_errors=True)
            site.mkdir(parents=True)
            if more:
                photograph.rename(site / photograph.name)
    except ValueError as error:
        print(f"{error}\nNo site was made.", file=sys.stderr)
        return 1
    for name, page in pages.items():
        (site / name).write_text(page, encoding="utf-8")
    print(f"{len(pages) - 1} lessons and their index: {os.path.relpath(site)}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
