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

# JupyterLab's own page, less the scripts that it fetches, in the reader's light or dark; contents
# beside it where there is room. What is too wide scrolls by itself.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) { {{ resources.dark_theme }} }
body.jp-Notebook { max-width: 58rem; margin: auto; }
.jp-RenderedHTMLCommon table { display: block; overflow-x: auto; }
.jp-RenderedHTMLCommon img { max-width: 100%; height: auto; }
.jp-OutputArea-output img { background: #fff; }
math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", "Noto Sans Math",
  "DejaVu Math TeX Gyre", math; }  /* fonts whose braces and sums grow */
math[display="block"] { overflow-x: auto; overflow-y: hidden; }
.jp-RenderedHTMLCommon p { overflow-wrap: break-word; }
.jp-InputArea-editor .highlight pre { overflow-x: auto; }
.jp-RenderedHTMLCommon img.cover { max-height: 22rem; width: auto; }
.badge { padding: 0.2em 0.8em; border-radius: 0.3em; color: #fff; background: #57606a; }
nav { color: var(--jp-content-font-color1); padding: 0.5rem 0; }
nav form { display: inline-block; float: right; }
.contents ul { list-style: none; padding-left: 0.5rem; margin: 0.5rem 0; }
.contents li { margin: 0.3rem 0; }
@media (min-width: 74rem) {
  body.jp-Notebook { margin: 0 auto 0 max(15rem, calc(50vw - 29rem)); }
  .contents { position: fixed; top: 3rem; left: max(0.5rem, calc(50vw - 44rem)); width: 14rem;
    max-height: calc(100vh - 4rem); overflow-y: auto; }
}
@media (max-width: 40rem) {
  body.jp-Notebook { padding: 0.5rem; }
  nav form { float: none; }
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
  .jp-OutputArea-output pre { white-space: pre; overflow-x: auto; }
}
</style>
{%- endblock -%}
{%- block body_header -%}{{ super() }}{{ resources.header }}<!-- contents -->{%- endblock -%}
{%- block body_footer -%}{{ resources.footer }}{{ super() }}{%- endblock -%}
"""
HEADING = re.compile(r'<h2 id="([^"]*)">(.*?)<a class="anchor-link"', re.DOTALL)


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

    def template_file_text(self, name: str) -> str:
        """Return a file of the template as it stands."""
        return self.environment.loader.get_source(self.environment, name)[0]


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


def render(
    notebook: NotebookNode, page: str = "{name}.html", header: str = "", footer: str = ""
) -> str:
    """Return a notebook as an HTML page.

    Args:
        notebook: an executed lesson; other links of it than those to lessons lead to GitHub.
        page: where another lesson's page is, with `{name}` for the lesson's name.
        header: HTML above the first cell.
        footer: HTML below the last one.

    Raises:
        ValueError: a formula cannot become MathML.
    """
    exporter = _Exporter(page)
    resources = {
        "header": header,
        "footer": footer,
        "dark_theme": exporter.template_file_text("static/theme-dark.css"),
        "metadata": {"name": title(notebook).replace("`", "")},
    }
    html = exporter.from_notebook_node(notebook, resources)[0]
    return html.replace("<!-- contents -->", _contents(html), 1)


def _contents(html: str) -> str:
    """Return links to the sections of a page; open where they stand beside it."""
    items = [f'<li><a href="#{id_}">{words}</a></li>' for id_, words in HEADING.findall(html)]
    if len(items) < 2:
        return ""
    return f"""<nav class="jp-RenderedHTMLCommon contents"><details><summary>Contents</summary>
<ul>{"".join(items)}</ul></details></nav>
<script>document.querySelector(".contents details").open = matchMedia("(min-width: 74rem)").matches
</script>"""
