"""A project in a folder of your own: the pipeline's files come with the package, its code stays installed.

In the repository DVC watches the code below pipeline/. A project has no such folder: there the code changes with the
installed version alone, so each stage depends on a file that holds the version, and definitions are copied.
"""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from expclip_cache.base import SettingsError, make_folder, write_atomically
from expclip_cache.datasets import builtin_definitions

GRAPH = Path("dvc.yaml")
VERSION = Path("stages/version.txt")
DEFINITIONS = Path("definitions")
PATTERNS = ("dvc.yaml", ".dvcignore", ".gitignore", "stages/*.py", "configs/*.yaml", "prompts/*.yaml")
IGNORE_FILES = (Path(".dvcignore"), Path(".gitignore"))
IGNORED_IN_PROJECTS = "# in every project\n"
"""In the repository's .gitignore: what follows is for projects too."""

_CODE = "pipeline/expclip_cache"
_IN_CODE = f"{_CODE}/datasets/definitions"
_DRAWING = f"{_CODE}/demo/drawing"


def make_project(folder: Path = Path()) -> list[str]:
    """Make a folder a project, unless it has a dvc.yaml: write the files of the pipeline, and let DVC start there.

    A file that is there already is kept as it is; lines that a .gitignore or .dvcignore lacks are added.

    Returns:
        What was done, one line for each thing; empty if there is a dvc.yaml.

    Raises:
        CacheError: a file cannot be written.
        SettingsError: DVC refuses the folder.
    """
    if (folder / GRAPH).exists():
        return []
    done = [f"{folder.absolute()}: a project now, with the pipeline of expclip-cache {version('expclip-cache')}"]
    # The graph is written last: it makes a folder a project.
    for path, text in sorted(project_texts().items(), key=lambda item: item[0] == GRAPH):
        make_folder((folder / path).parent)
        there = (folder / path).read_text(encoding="utf-8") if (folder / path).exists() else None
        if path in IGNORE_FILES:
            lines = [line for line in text.splitlines() if line not in (there or "").splitlines()]
            text = "\n".join([*(there or "").splitlines(), *lines]) + "\n"
        elif there is not None:
            if there != text:
                done.append(f"{path}: kept as it is; this version's is another")
            continue
        write_atomically(folder / path, text.encode())
    if not (folder / ".dvc").exists():
        done.append(_start_dvc(folder))
    return done


def project_texts() -> dict[Path, str]:
    """The text of every file of a project but params.yaml, which `init` writes from one of the presets."""
    source = _packaged_files()
    found = [path for pattern in PATTERNS for path in sorted(source.glob(pattern))]
    texts = {path.relative_to(source): path.read_text(encoding="utf-8") for path in found}
    texts[GRAPH] = graph_without_code(texts[GRAPH])
    texts[Path(".gitignore")] = texts[Path(".gitignore")].partition(IGNORED_IN_PROJECTS)[2]
    for path in texts:
        if path.parent == Path("configs"):
            texts[path] = texts[path].replace(_IN_CODE, str(DEFINITIONS)).replace(_DRAWING, str(VERSION))
    texts |= {DEFINITIONS / file.name: file.read_text(encoding="utf-8") for file in builtin_definitions().values()}
    texts[VERSION] = f"expclip-cache {version('expclip-cache')}\n"
    return texts


def graph_without_code(graph: str) -> str:
    """The repository's dvc.yaml for a project: `VERSION` in place of what stages depend on below pipeline/."""
    graph = graph.replace(f"- {_IN_CODE}\n", f"- {DEFINITIONS}\n")
    graph = re.sub(rf"^ +- {_CODE}/.*\n", "", graph, flags=re.MULTILINE)
    return re.sub(r"^( +- )stages/\w+\.py\n", rf"\g<0>\g<1>{VERSION}\n", graph, flags=re.MULTILINE)


def definition_source(definition: Path) -> str:
    """What params.yaml calls a definition that comes with the package: its copy in a project, or the file itself."""
    copied = DEFINITIONS / definition.name
    return str(copied) if copied.exists() else f"{_IN_CODE}/{definition.name}"


def other_version(folder: Path) -> str:
    """What to do if another version made this project than the one that is installed; empty if none did."""
    file = folder / VERSION
    made, installed = file.read_text().strip() if file.exists() else "", f"expclip-cache {version('expclip-cache')}"
    if made in ("", installed):
        return ""
    return (
        f"{VERSION}: this project was made by {made}, and {installed} is installed. Delete dvc.yaml and stages/ and "
        "run expclip-cache init: it writes those of the new version and keeps params.yaml"
    )


def _packaged_files() -> Path:
    """The folder of the repository's files: a part of the installed package, or the repository itself."""
    package = Path(__file__).parents[1]
    installed = package / "project"
    return installed if installed.is_dir() else package.parents[1]


def _start_dvc(folder: Path) -> str:
    """Make .dvc; with Git if the folder is in a Git repository. Returns which of the two was done."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCM, SCMError

    try:
        SCM(str(folder.absolute()))
        in_git = True
    except SCMError:
        in_git = False
    try:
        with Repo.init(str(folder), no_scm=not in_git, subdir=in_git) as repo, repo.config.edit() as edited:
            config: Any = edited
            config["core"] |= {"analytics": False, "check_update": False, "autostage": True}
    except DvcException as error:
        raise SettingsError(f"{folder.absolute()}: DVC cannot start here ({error})") from None
    if in_git:
        return ".dvc: made, in this Git repository"
    # With Git, DVC writes this file itself.
    write_atomically(folder / ".dvc/.gitignore", b"/config.local\n/tmp\n/cache\n")
    return ".dvc: made, without Git; should you need `dvc exp run`: git init && dvc config core.no_scm false"
