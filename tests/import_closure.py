"""Which files of ours a module imports, directly or through others, found by reading the source."""

import ast
from pathlib import Path

OURS = ("pipeline", "stages")


def import_closure(root: Path, start: Path) -> set[str]:
    """Our files that `start` can import, imports inside functions included; posix, relative to root."""
    found: set[str] = set()
    todo = [start]
    while todo:
        path = todo.pop()
        name = path.relative_to(root).as_posix()
        if name in found:
            continue
        found.add(name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for module in _imported(tree):
            todo += _files(root, module)
    return found


def _imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used in this project"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in OURS}


def _files(root: Path, module: str) -> list[Path]:
    """The file of a module and the __init__ of every package above it; none for a name that is no module."""
    parts = module.split(".")
    files = [root.joinpath(*parts[:k], "__init__.py") for k in range(1, len(parts) + 1)]
    files.append(root.joinpath(*parts[:-1], f"{parts[-1]}.py"))
    return [file for file in files if file.is_file()]
