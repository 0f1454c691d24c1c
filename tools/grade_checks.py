"""Run check cells, in the grader's process, on answers that are in another (grade_answers.py)."""

import ast
import contextlib
import io
import re

from assignments import grade_id
from grade_answers import Gone, Late, Session
from nbformat import NotebookNode

MOST_CHARACTERS = 100_000  # of a cell that is read as Python: nobody types more
HIDDEN = re.compile(r"### (BEGIN|END) HIDDEN TESTS")


def parse(source: str) -> ast.Module:
    """Parse a cell without its magic commands; nothing is in what is no Python."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.parse(re.sub(r"(?m)^(\s*)[%!].*", r"\1pass", source[:MOST_CHARACTERS]))
    return ast.Module([], [])


def loaded(tree: ast.AST) -> set[str]:
    """Return the names that code reads."""
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def imported(tree: ast.AST) -> set[str]:
    """Return the names that code imports."""
    aliases = (node for node in ast.walk(tree) if isinstance(node, ast.alias))
    return {(alias.asname or alias.name).split(".")[0] for alias in aliases}


def bound(tree: ast.AST) -> set[str]:
    """Return the names that code gives a value to, other than by importing."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


class Checker:
    """Runs the check cells of one notebook, each with what the student answered.

    Names come from the notebook as it was written: cells that were given out, and imports, run here
    too where a check needs them, so that a student cannot change a test by changing one of its
    names.

    Args:
        solution: the notebook that the submission was given out from, with hidden tests.

    Attributes:
        sources: the check cells by grade_id.
    """

    def __init__(self, solution: NotebookNode):
        self.sources, self.given, self.answered = {}, [], set()
        for cell in (cell for cell in solution.cells if cell.cell_type == "code"):
            mark, tree = cell.metadata.get("nbgrader", {}), parse(cell.source)
            if mark.get("grade"):
                self.sources[grade_id(cell)] = cell.source
            elif mark.get("solution"):
                self.answered |= bound(tree)
                imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
                self.given.append(ast.Module(imports, []))
            else:
                self.given.append(tree)
        self.names = {"__name__": "__main__"}

    def _needed(self, source: str) -> tuple[set[str], list[ast.Module]]:
        """Return the names that a check asks the student for, and the given cells it needs."""
        wanted, cells = loaded(parse(source)), []
        for tree in reversed(self.given):
            makes = bound(tree) | imported(tree)
            if makes & (wanted - self.answered - self.names.keys()):
                wanted |= loaded(tree)
                cells.insert(0, tree)
        return wanted & self.answered, cells

    def check(self, name: str, session: Session) -> tuple[bool, str]:
        """Run a check cell; return whether all of it went well, and what to show of it.

        Raises:
            Late, Gone: see `Session.ask`.
        """
        source = self.sources[name]
        shown, hidden, in_hidden = io.StringIO(), io.StringIO(), False
        asked, cells = self._needed(source)
        with contextlib.redirect_stderr(hidden):
            try:
                answers = {}
                for answer in asked:
                    self.names.pop(answer, None)
                    with contextlib.suppress(KeyError):
                        answers[answer] = session.ask("name", answer)
                self.names |= answers
                with contextlib.redirect_stdout(hidden):
                    for tree in cells:
                        self._run(tree)
                self.names |= answers
                tests = _hidden_lines(source)
                for statement in parse(source).body:
                    in_hidden = statement.lineno in tests
                    with contextlib.redirect_stdout(hidden if in_hidden else shown):
                        self._run(ast.Module([statement], []))
            except (Late, Gone):
                raise
            except BaseException as error:  # a test may raise anything
                reason = f"{type(error).__name__}: {error}"
                reason = "A hidden test failed." if in_hidden else reason
                return False, f"{shown.getvalue()}{reason}\n"
        return True, shown.getvalue()

    def _run(self, tree: ast.Module) -> None:
        exec(compile(tree, "<check>", "exec"), self.names)


def _hidden_lines(source: str) -> set[int]:
    lines, inside = set(), False
    for number, line in enumerate(source.splitlines(), 1):
        marker = HIDDEN.search(line)
        inside = marker[1] == "BEGIN" if marker else inside
        if inside:
            lines.add(number)
    return lines
