"""An executed lesson as one HTML page that loads nothing from anywhere."""

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

import stamp
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = f"https://github.com/{stamp.repository(ROOT)}"
LESSON = re.compile(r"(\d\d_\w+)\.ipynb(#.*)?")

# JupyterLab's own page, less the scripts that it fetches; what is too wide scrolls by itself.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
body.jp-Notebook { max-width: 64rem; margin: auto; }
.jp-RenderedHTMLCommon table { display: block; overflow-x: auto; }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "Noto Sans Math",
  "DejaVu Math TeX Gyre", math; }  /* fonts whose braces and sums grow */
math[display="block"] { overflow-x: auto; overflow-y: hidden; }
.jp-RenderedHTMLCommon p { overflow-wrap: break-word; }
.jp-InputArea-editor .highlight pre { overflow-x: auto; }
.badge { padding: 0.2em 0.8em; border-radius: 0.3em; color: #fff; background: #57606a; }
@media (max-width: 40rem) {
  body.jp-Notebook { padding: 0.5rem; }
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
  .jp-OutputArea-output pre { white-space: pre; overflow-x: auto; }
}
</style>
{%- endblock -%}
{%- block body_header -%}{{ super() }}{{ resources.header }}{%- endblock -%}
"""


class _Renderer(IPythonRenderer):
    """Markdown whose formulas are MathML and whose links lead somewhere from the page."""

    def __init__(self, page: str) -> None:
        super().__init__(escape=False)
        self.page = page

    def inline_math(self, body: str) -> str:
        return _mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return _mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return _mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if urlsplit(url).netloc:
            return f'<span class="badge">{text}</span>'
        return super().image(text, url, title)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if lesson := LESSON.fullmatch(url):
            url = self.page.format(name=lesson[1]) + (lesson[2] or "")
        elif not (url.startswith("#") or urlsplit(url).scheme):
            url = f"{REPOSITORY}/blob/main/{posixpath.normpath(f'notebooks/{url}')}"
        return super().link(text, url, title)


class _Exporter(HTMLExporter):
    """JupyterLab's look, with this renderer."""

    def __init__(self, page: str) -> None:
        super().__init__(raw_template=TEMPLATE)
        self.page = page
        # A progress line was overwritten many times; its last state is what a reader wants.
        self.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)

    def markdown2html(self, source: str) -> str:
        return MarkdownWithMath(renderer=_Renderer(self.page)).render(source)


def _mathml(latex: str, display: str) -> str:
    try:
        mathml = convert(latex, display=display)
    except Exception as error:  # latex2mathml has a dozen of its own
        raise ValueError(f"the formula {latex!r} is no LaTeX: {type(error).__name__}") from error
    if "\\" in mathml:  # what it does not know it copies
        raise ValueError(f"the formula {latex!r} has a command that latex2mathml does not know")
    return mathml


def title(notebook: NotebookNode) -> str:
    """Return the title of a lesson: the first heading of its first cell, or nothing."""
    heading = notebook.cells and re.search(r"^# (.*)", notebook.cells[0].source, re.MULTILINE)
    return heading[1] if heading else ""


def render(notebook: NotebookNode, page: str = "{name}.html", header: str = "") -> str:
    """Return a notebook as an HTML page.

    Args:
        notebook: an executed lesson; other links of it than those to lessons lead to GitHub.
        page: where another lesson's page is, with `{name}` for the lesson's name.
        header: HTML above the first cell.

    Raises:
        ValueError: a formula cannot become MathML.
    """
    resources = {"header": header, "metadata": {"name": title(notebook).replace("`", "")}}
    return _Exporter(page).from_notebook_node(notebook, resources)[0]
