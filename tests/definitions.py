"""Line ranges of the definitions in a Python file, so that pages about them can be compared with the code."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[1]


@functools.cache
def definitions_of(file: Path) -> dict[str, tuple[int, int]]:
    """First line, decorators included, and last line of functions, classes, methods, fields and constants."""
    found = {}

    def visit(nodes: list[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                found[prefix + node.name] = (first, node.end_lineno)
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and prefix:
                found[prefix + node.target.id] = (node.lineno, node.end_lineno)
            if isinstance(node, ast.Assign) and not prefix:
                names = [part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)]
                found.update(dict.fromkeys(names, (node.lineno, node.end_lineno)))

    visit(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return found
