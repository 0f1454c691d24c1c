"""Check the links of Markdown files and notebooks into the repository: `make lint` runs it."""

import functools
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from nbconvert.filters.markdown_mistune import HTMLRenderer, IPythonRenderer, MarkdownWithMath
from stamp import repository

ROOT = Path(__file__).resolve().parent.parent
HEADINGS = {f"h{level}" for level in range(1, 7)}


class _Renderer(IPythonRenderer):
    image = HTMLRenderer.image  # the other one wants to see what is attached to a cell


class _Page(HTMLParser):
    """A file's links and anchors, read from its HTML, where code holds no tags."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.anchors, self.slugs, self.heading = [], set(), [], None
        self.is_notebook = path.suffix == ".ipynb"
        texts = [path.read_text(encoding="utf-8")]
        if self.is_notebook:
            cells = nbformat.reads(texts[0], as_version=4).cells
            texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        for text in texts:
            renderer = _Renderer(escape=False, exclude_anchor_links=True)
            self.feed(MarkdownWithMath(renderer).render(text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.anchors |= {value for name, value in attrs if name in ("id", "name")}
        self.heading = "" if tag in HEADINGS else self.heading

    def handle_data(self, data: str) -> None:
        if self.heading is not None:
            self.heading += data

    def handle_endtag(self, tag: str) -> None:
        if tag in HEADINGS and self.heading is not None:
            heading, self.heading = self.heading.strip(), None
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            count = self.slugs.count(slug)
            self.slugs.append(slug)
            self.anchors.add(f"{slug}-{count}" if count else slug)  # GitHub's
            self.anchors |= {heading.replace(" ", "-")} if self.is_notebook else set()  # Jupyter's


def checked_files(root: Path) -> list[Path]:
    """Return the notebooks and the Markdown files, without those of environments and builds."""
    folders = [
        f for f in root.iterdir() if f.is_dir() and (f.name[0] != "." or f.name == ".github")
    ]
    files = [*root.glob("*.md"), *root.glob("notebooks/**/*.ipynb")]
    files += [file for f in folders if f.name != "build" for file in f.rglob("*.md")]
    return sorted(file for file in files if ".ipynb_checkpoints" not in file.parts)


def wrong_links(root: Path) -> Iterator[str]:
    """Yield `FILE: LINK: what is wrong` for each link that leads to nothing in the repository."""
    hosts = r"(?:github\.com|colab\.research\.google\.com/github)"
    ours = re.compile(rf"{hosts}/{re.escape(repository(root))}/(?:blob|tree)/main(?:/(.*))?")
    page = functools.cache(_Page)
    for file in checked_files(root):
        for link in dict.fromkeys(page(file).links):
            address = urlsplit(link)
            base, path = file.parent, address.path or file.name
            if address.scheme or address.netloc:
                found = ours.fullmatch(address.netloc + address.path)
                if not found:
                    continue
                base, path = root, found[1] or ""
            target = (base / unquote(path)).resolve()
            anchor = unquote(address.fragment) if target.suffix in (".md", ".ipynb") else ""
            if not link or not target.is_relative_to(root.resolve()) or not target.exists():
                yield f"{file.relative_to(root)}: {unquote(link)}: there is no such file"
            elif anchor and anchor not in page(target).anchors:
                yield f"{file.relative_to(root)}: {unquote(link)}: there is no such heading"


def main(root: Path = ROOT) -> int:
    """Print the wrong links below a folder."""
    wrong = list(wrong_links(root))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
