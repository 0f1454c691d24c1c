"""A graded notebook as one page for its student: it runs nothing and loads nothing."""

import html
import re
from itertools import groupby

import bleach
import nbformat
from assignments import grade_id
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

MOST_TEXT, MOST_IMAGE, MOST_OUTPUTS = 20_000, 2_000_000, 50
# What Markdown, tables and coloured code are made of.
TAGS = {"a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt"}
TAGS |= {"em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "s"}
TAGS |= {"span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead"}
TAGS |= {"tr", "ul"}
HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src \
'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ max-width: 60rem; margin: auto; padding: 1rem; font-family: sans-serif; line-height: 1.4; }}
pre {{ overflow-x: auto; margin: 0.3rem 0; }}
.highlight {{ background: #f5f5f5; padding: 0.3rem 0.6rem; }}
.output_area {{ border-left: 3px solid #bbb; padding-left: 0.6rem; }}
.prompt {{ display: none; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; }}
th, td {{ border: 1px solid #ccc; padding: 0.2rem 0.6rem; text-align: left; }}
</style></head><body>
"""


def page(
    name: str, notebook: NotebookNode, points: dict[str, float], exercises: dict[str, str]
) -> str:
    """Return a page of a graded notebook.

    Args:
        name: of the notebook.
        notebook: executed, without hidden tests.
        points: what each check cell got, by grade_id.
        exercises: the exercise that each of these cells belongs to.
    """
    cells, table = [], []
    for cell in nbformat.from_dict(notebook).cells:
        mark = cell.metadata.get("nbgrader", {})
        if grade_id(cell) in points:
            exercise = exercises[grade_id(cell)]
            result = f"{exercise}: {points[grade_id(cell)]:g} of {mark.points:g}"
            table.append(f"<li>{html.escape(result)}</li>")
            cells.append(new_markdown_cell(f"**{result}**"))
        if cell.cell_type == "code":
            cell.outputs = [_cut(output) for output in _joined(cell.outputs)[:MOST_OUTPUTS]]
        cells.append(cell)
    shown = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    body = HTMLExporter(template_name="basic").from_notebook_node(shown)[0]
    body = re.sub(r"<(script|style)\b.*?</\1\s*>", "", body, flags=re.DOTALL | re.IGNORECASE)
    body = bleach.clean(body, TAGS, _allowed, protocols={"http", "https", "data"}, strip=True)
    return f"{HEAD.format(title=html.escape(name))}<ul>{''.join(table)}</ul>{body}</body></html>\n"


def _allowed(tag: str, attribute: str, value: str) -> bool:
    if (tag, attribute) == ("a", "href"):
        return value.startswith(("https://", "http://", "#"))
    if (tag, attribute) == ("img", "src"):
        return bool(re.match(r"data:image/(png|jpeg|gif);base64,", value))
    return attribute in ("class", "colspan", "rowspan", "alt")


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed piece by piece; of a line that was overwritten the last state stays."""
    joined = []
    for name, group in groupby(outputs, key=lambda output: output.get("name")):
        if name is None:
            joined += group
        else:
            lines = "".join(output.text for output in group).replace("\r\n", "\n").split("\n")
            text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
            joined.append(new_output("stream", name=name, text=text))
    return joined


def _cut(output: NotebookNode) -> NotebookNode:
    """Keep text, tables and pictures of an output, and no more of them than a reader wants."""
    if output.output_type == "stream":
        output.text = _text(output.text)
    elif output.output_type == "error":
        output.evalue, output.ename = _text(str(output.evalue)), _text(str(output.ename))
        output.traceback = [_text("\n".join(map(str, output.traceback)))]
    else:
        for kind, data in list(output.data.items()):
            if kind in ("text/plain", "text/html"):
                output.data[kind] = _text(data)
            elif kind not in ("image/png", "image/jpeg") or len(str(data)) > MOST_IMAGE:
                del output.data[kind]
    return output


def _text(text) -> str:
    text = "".join(text)
    over = len(text) - MOST_TEXT
    return text if over <= 0 else f"{text[:MOST_TEXT]}\n[{over:,} characters more]"
