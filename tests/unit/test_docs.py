"""The documents: their commands exist with these options, and their links lead somewhere."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from expclip_cache.commands.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
COMMAND = typer.main.get_command(app)


def commands(page: Path) -> list[list[str]]:
    """Every line of the page's console blocks, split as a shell does; comments and continued lines are put right."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines for words in _parts(shlex.split(line, comments=True)) if words]


def _parts(words: list[str]) -> list[list[str]]:
    """The commands of one line, between && and |."""
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


def test_the_batch_script_is_a_script_with_a_command_that_exists():
    script = ROOT / "docs/extract.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    words = shlex.split(script.read_text().replace("\\\n", " "), comments=True)
    name, *rest = words[words.index("expclip-cache") + 1 :]
    context = COMMAND.commands[name].make_context(name, rest)
    assert context.params["executor"] == "ray"


def test_a_command_that_does_not_exist_would_be_noticed():
    with pytest.raises(Exception, match=r"[Nn]o such option"):
        COMMAND.commands["predict"].make_context("predict", ["photo.jpg", "--nonsense"])


def test_there_are_commands_to_check():
    assert len(OURS) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
