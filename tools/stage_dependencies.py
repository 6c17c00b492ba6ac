"""Bring the source files under `deps` in dvc.yaml up to date: python -m tools.stage_dependencies.

A stage depends on the files of ours that it can import, found by reading the source. Other lines stay as they are.
"""

import ast
import re
from pathlib import Path

OURS = ("pipeline", "stages")

FOLDERS = ("pipeline/datasets", "pipeline/executors", "pipeline/params", "pipeline/reporting/page", "pipeline/shards")
"""Named as a whole: most of their files are imported together, or they hold more than Python."""

DATA = ("pipeline/demo/clip", "pipeline/demo/blip2")
"""Dependencies that are no source."""


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


def with_dependencies(graph: str, root: Path) -> str:
    """The text of dvc.yaml with every stage's sources replaced by those it imports, in order."""
    lines, kept = graph.splitlines(keepends=True), []
    script = ""
    for line in lines:
        if found := re.match(r" +cmd: python -m stages\.(\w+)", line):
            script = found[1]
        source = re.match(r"( +)- ((?:pipeline|stages)/\S+)$", line.rstrip("\n"))
        if source is None or source[2] in DATA:
            kept.append(line)
        elif source[2] == f"stages/{script}.py":
            # The stage's own script is the last of its sources.
            closure = import_closure(root, root / "stages" / f"{script}.py")
            kept += [f"{source[1]}- {name}\n" for name in _by_folder(closure)]
    return "".join(kept)


def _by_folder(files: set[str]) -> list[str]:
    names = {next((folder for folder in FOLDERS if file.startswith(folder + "/")), file) for file in files}
    return sorted(names, key=lambda name: (name.startswith("stages/"), name))


def main() -> None:
    """Rewrite dvc.yaml in place."""
    root = Path(__file__).parents[1]
    path = root / "dvc.yaml"
    before = path.read_text(encoding="utf-8")
    after = with_dependencies(before, root)
    path.write_text(after, encoding="utf-8")
    print(f"{path.name}: {'up to date' if before == after else 'changed'}")


if __name__ == "__main__":
    main()
