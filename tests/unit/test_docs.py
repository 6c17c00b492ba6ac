"""The docs: every command exists with the options shown, and every link leads to a file."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from expclip_cache.commands.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("examples/*/*.md"),
    ]
)
COMMAND = typer.main.get_command(app)


def commands(page: Path) -> list[list[str]]:
    """The commands in a page's console blocks, split as a shell does, without comments, continued lines joined."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines for words in _parts(shlex.split(line, comments=True)) if words]


def _parts(words: list[str]) -> list[list[str]]:
    """The commands of one line, which && and | separate."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", "|"):
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


OURS = [
    pytest.param(words[words.index("expclip-cache") + 1 :], id=f"{page.name}: {' '.join(words)}")
    for page in PAGES
    for words in commands(page)
    if "expclip-cache" in words
]


@pytest.mark.parametrize("words", OURS)
def test_a_documented_command_is_understood(words):
    """Parsed with its options and types, not run."""
    if "--help" in words:
        return
    name, *rest = words
    assert name in COMMAND.commands
    COMMAND.commands[name].make_context(name, rest)


def test_the_batch_script_has_valid_syntax_and_a_command_that_exists():
    script = ROOT / "docs/extract.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    words = shlex.split(script.read_text().replace("\\\n", " "), comments=True)
    name, *rest = words[words.index("expclip-cache") + 1 :]
    context = COMMAND.commands[name].make_context(name, rest)
    assert context.params["executor"] == "ray"


def test_an_option_that_does_not_exist_fails_the_check():
    with pytest.raises(Exception, match=r"[Nn]o such option"):
        COMMAND.commands["predict"].make_context("predict", ["photo.jpg", "--nonsense"])


def test_there_are_commands_to_check():
    assert len(OURS) > 10


def test_every_benchmark_that_a_page_names_exists():
    table = (ROOT / "benchmarks" / "README.md").read_text()
    named = re.findall(r"^\|[^|]+\| `(\w+)", table[: table.index("## ")], flags=re.M)
    named += re.findall(r"python -m benchmarks\.([a-z_]+)", "".join(page.read_text() for page in PAGES))
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / "benchmarks" / f"{name}.py").exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
