"""How large is the code base, and what does an idle `dvc repro` cost? python -m benchmarks.architecture [CHECKOUT].

Works for this checkout and for any earlier one, so that two of them can be compared.
"""

import argparse
from pathlib import Path

from benchmarks.measure import Figure, show
from benchmarks.startup import idle_repro, is_reproduced


def source_root(checkout: Path) -> Path:
    """The folder whose entries are the top level of the package; earlier checkouts had no package of their own.

    Raises:
        SystemExit: the folder is not a checkout of this project.
    """
    for folder in (checkout / "pipeline" / "expclip_cache", checkout / "pipeline"):
        if any(folder.rglob("*.py")):
            return folder
    raise SystemExit(f"{checkout}: expected a checkout with Python files in pipeline/, found none.")


def count(number: int, what: str) -> Figure:
    """A figure that is a number of things."""
    return Figure(what, None, note=f"{number:,}")


def lines(*files: Path) -> int:
    """Lines in all of the files together."""
    return sum(len(file.read_bytes().splitlines()) for file in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).parents[1])
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    root = source_root(checkout)
    packages = [folder for folder in root.iterdir() if folder.is_dir() and any(folder.rglob("*.py"))]
    sources = list(root.rglob("*.py"))
    modules = [file for file in sources if file.name != "__init__.py"]
    graph, lock = checkout / "dvc.yaml", checkout / "dvc.lock"
    figures = [
        count(len(packages), "packages at the top level"),
        count(sum(file.parent == root for file in modules), "loose modules at the top level"),
        count(len(modules), "modules"),
        count(lines(*sources), "lines of Python in the package"),
        count(lines(graph), "lines of dvc.yaml"),
    ]
    if lock.exists():
        figures.append(count(lines(lock), "lines of dvc.lock"))
    if is_reproduced(checkout):
        version, repro = idle_repro(checkout)
        figures += [Figure("dvc version", version), Figure("dvc repro with nothing to do", repro, repro / version)]
    else:
        print("There are stages to run, so an idle `dvc repro` cannot be timed: run `dvc repro` in the checkout first.")
    show(f"Architecture of {root.relative_to(checkout.parent)}", figures)


if __name__ == "__main__":
    main()
