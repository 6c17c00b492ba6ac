"""Prompts, compared with texts written out by hand here rather than built by the code under test."""

from pathlib import Path

import pytest

from expclip_cache.base.classes import CANONICAL
from expclip_cache.base.errors import SettingsError
from expclip_cache.prompts.prompt_file import classes_in, read_prompt_file
from expclip_cache.prompts.settings import PromptSettings
from expclip_cache.prompts.templates import Prompt, prompt_table

HAPPINESS = [
    "an expression of happiness.",
    "a photo of a face with an expression of happiness.",
    "a photo radiating happiness in a person.",
    "a photo showing someone immersed in happiness.",
    "a photo capturing happiness within an individual.",
    "a photo of a face exuding happiness.",
    "a photo of a person embodying happiness.",
    "a good photo capturing someone's happiness.",
    "a cropped photo emphasizing a face expressing happiness.",
    "a clean photo showcasing a person's happiness.",
]
SADNESS = [
    "an expression of sadness.",
    "a cropped photo emphasizing a face expressing sadness.",
    "a photo exuding sadness in a person.",
    "a photo showing someone immersed in sadness.",
    "a photo capturing sadness within an individual.",
    "a photo of a face displaying sadness.",
    "a photo of a person embodying sadness.",
    "a good photo capturing someone's sadness.",
    "a photo of a face with an expression of sadness.",
    "a clean photo showcasing a person's sadness.",
]
NEUTRAL = [
    "an expression of neutral.",
    "a photo of a face with an expression of neutral.",
    "a photo radiating neutral in a person.",
    "a photo showing someone immersed in neutral.",
    "a photo capturing neutral within an individual.",
    "a photo of a face displaying neutral.",
    "a photo of a person embodying neutral.",
    "a good photo capturing someone's neutral state.",
    "a cropped photo emphasizing a face expressing neutral.",
    "a clean photo showcasing a person's neutral expression.",
]
REGULAR = {
    "anger": "angry",
    "surprise": "surprised",
    "disgust": "disgusted",
    "fear": "fearful",
    "contempt": "contemptuous",
    "anxiety": "anxious",
    "helplessness": "helpless",
    "disappointment": "disappointed",
}


def regular(name: str, adjective: str) -> list[str]:
    return [
        "an expression of " + name + ".",
        "a photo of a face with an expression of " + name + ".",
        "a photo radiating " + name + " in a person.",
        "a photo showing someone immersed in " + name + ".",
        "a photo capturing " + name + " within an individual.",
        "a photo of a face displaying " + name + ".",
        "a photo of a person embodying " + name + ".",
        "a good photo capturing someone's " + name + ".",
        "a cropped photo emphasizing a face expressing " + name + ".",
        "a clean photo showcasing a person's " + adjective + " expression.",
    ]


ENSEMBLE = {"happiness": HAPPINESS, "sadness": SADNESS, "neutral": NEUTRAL} | {
    name: regular(name, adjective) for name, adjective in REGULAR.items()
}


def texts(table: tuple[Prompt, ...], type_: int, name: str) -> list[str]:
    return [prompt.text for prompt in table if (prompt.type, prompt.class_name) == (type_, name)]


@pytest.mark.parametrize("name", CANONICAL)
def test_the_reference_set_is_byte_exact(name):
    table = prompt_table("reference", (1, 2, 3, 4, 5), CANONICAL)
    assert texts(table, 1, name) == [name + "."]
    assert texts(table, 2, name) == ["an expression of " + name + "."]
    assert texts(table, 3, name) == ["a photo of a face with an expression of " + name + "."]
    assert texts(table, 4, name) == ENSEMBLE[name][:5]
    assert texts(table, 5, name) == ENSEMBLE[name]


@pytest.mark.parametrize("name", CANONICAL)
def test_the_clean_set_follows_the_templates_without_exception(name):
    adjective = {"happiness": "happy", "sadness": "sad", "neutral": "neutral"} | REGULAR
    table = prompt_table("clean", (4, 5), CANONICAL)
    assert texts(table, 4, name) == regular(name, adjective[name])[:5]
    assert texts(table, 5, name) == regular(name, adjective[name])


def test_the_two_sets_differ_only_in_the_seven_documented_prompts():
    pairs = zip(prompt_table("reference", (5,), CANONICAL), prompt_table("clean", (5,), CANONICAL), strict=True)
    different = [(ours.class_name, number % 10 + 1) for number, (ours, other) in enumerate(pairs) if ours != other]
    places = {"happiness": (6, 10), "sadness": (2, 3, 9, 10), "neutral": (8,)}
    assert different == [(name, number) for name, numbers in places.items() for number in numbers]
    singles = (1, 2, 3)
    assert prompt_table("reference", singles, CANONICAL) == prompt_table("clean", singles, CANONICAL)


def test_order_is_type_then_canonical_class_then_template():
    table = prompt_table("reference", (5, 1, 5), ["fear", "happiness"])
    assert [(p.type, p.class_name) for p in table] == (
        [(1, "happiness"), (1, "fear")] + [(5, "happiness")] * 10 + [(5, "fear")] * 10
    )


def test_eleven_classes_have_198_prompts():
    table = prompt_table("reference", (1, 2, 3, 4, 5), CANONICAL)
    assert len(table) == 11 * (1 + 1 + 1 + 5 + 10)
    assert all(p.text == p.text.lower() and p.text.endswith(".") for p in table)


@pytest.mark.parametrize("types", [(), (0,), (2, 6)])
def test_unknown_prompt_types_are_rejected(types):
    with pytest.raises(SettingsError, match=r"expected some of \[1, 2, 3, 4, 5\]"):
        prompt_table("clean", types, CANONICAL)


def test_a_class_without_prompts_is_an_error_that_names_it():
    with pytest.raises(SettingsError, match=r"no prompts for boredom; it has happiness.*prompt file"):
        prompt_table("reference", (1,), ["happiness", "boredom"])


def test_the_settings_accept_the_two_sets_and_yaml_paths():
    for name in ("reference", "clean", "my/prompts.yaml", "mine.yml"):
        assert PromptSettings(set=name).set == name
    with pytest.raises(ValueError, match="set"):
        PromptSettings(set="referenc")


def write_file(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_prompt_file_with_prompts_per_class(tmp_path):
    file = write_file(
        tmp_path / "p.yaml", "classes:\n  boredom: ['yawn.', 'so bored.']\n  fear: ['aah!']\n  anger: ['x']\n"
    )
    assert prompt_table(file, (2, 5), ["boredom", "fear"]) == (
        Prompt(0, "fear", "aah!"),
        Prompt(0, "boredom", "yawn."),
        Prompt(0, "boredom", "so bored."),
    )


def test_a_prompt_file_with_templates(tmp_path):
    file = write_file(
        tmp_path / "p.yaml",
        "templates: ['{a} man: {n}', 'ünï {{x}} {n}']\nadjectives: {boredom: bored, fear: scared}\n",
    )
    assert [p.text for p in prompt_table(file, (1,), ["boredom", "fear", "sadness"])] == [
        "sad man: sadness",
        "ünï {x} sadness",
        "scared man: fear",
        "ünï {x} fear",
        "bored man: boredom",
        "ünï {x} boredom",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"expected either `classes:` or `templates:`, found None"),
        ("[1, 2]", r"expected either `classes:` or `templates:`, found \[1, 2\]"),
        ("prompts: []", r"found the keys prompts"),
        ("classes: {fear: [a]}\ntemplates: ['{n}']", r"found the keys classes, templates"),
        ("classes: {fear: [a]}\nadjectives: {}", r"unknown key adjectives. Known keys: classes\."),
        ("classes: [fear]", r"classes: expected class names"),
        ("classes: {anger: [a]}", r"no prompts for fear; it has anger"),
        ("classes: {fear: []}", r"classes.fear: expected a list with at least one prompt, found \[\]"),
        ("classes: {fear: afraid}", r"classes.fear: expected a list.*found 'afraid'"),
        ("classes: {fear: [3]}", r"classes.fear: expected prompts, found 3"),
        ("classes: {fear: [' ']}", r"classes.fear: expected prompts, found ' '"),
        ("templates: []", r"templates: expected a list"),
        ("templates: ['a face.']", r"expected \{n\}.*found 'a face.'"),
        ("templates: ['{n} {b}']", r"expected \{n\}.*found '\{n\} \{b\}'"),
        ("templates: ['{n!r}']", r"expected \{n\}"),
        ("templates: ['{n:>9}']", r"expected \{n\}"),
        ("templates: ['{0}']", r"expected \{n\}"),
        ("templates: ['{n']", r"templates: '\{n'"),
        ("templates: ['{n}']\nadjectives: [a]", r"adjectives: expected class names"),
        ("a: [", r"not valid YAML"),
    ],
)
def test_invalid_prompt_files(tmp_path, content, message):
    file = write_file(tmp_path / "p.yaml", content)
    with pytest.raises(SettingsError, match=message) as caught:
        prompt_table(file, (1,), ["fear"])
    assert file in str(caught.value)


def test_a_template_with_an_unknown_adjective(tmp_path):
    file = write_file(tmp_path / "p.yaml", "templates: ['{a} face']")
    with pytest.raises(SettingsError, match=r"no adjective for boredom. Add it under `adjectives:`"):
        prompt_table(file, (1,), ["boredom", "fear"])


def test_a_missing_prompt_file(tmp_path):
    with pytest.raises(SettingsError, match=r"none.yaml: cannot be read \(No such file.*reference, clean or the path"):
        prompt_table(str(tmp_path / "none.yaml"), (1,), ["fear"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: {1: [a face], sad: [b]}", r"classes: expected class names, found 1, which YAML reads as a int"),
        ("classes: {true: [a face], sad: [b]}", r"found True, which YAML reads as a bool\. Put the name in quotes"),
        ("classes: {2026-01-01: [a face]}", r"which YAML reads as a date"),
        ("classes: {null: [a face]}", r"found None, which YAML reads as a NoneType"),
        ("templates: ['a {a} face']\nadjectives: {1.5: bored}", r"adjectives: expected class names, found 1\.5"),
        ("classes: {sad: [12]}", r"found 12; put a text that looks like something else in quotes"),
        ("classes:\n  sad: [a]\n  sad: [b]", r"line 3, column 3: found duplicate key \"sad\" with value"),
    ],
)
def test_names_that_yaml_reads_as_something_else_are_named_on_one_line(tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        read_prompt_file(file, classes_in(file) or ("sad",))
    assert "\n" not in str(caught.value)


def test_names_in_quotes_are_names(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("classes: {'1': [a face], 'true': ['a sad, tired face, with tears'], yes: [b]}")
    assert read_prompt_file(file, classes_in(file) or ()) == {
        "1": ("a face",),
        "true": ("a sad, tired face, with tears",),
        "yes": ("b",),
    }


EMOCLIP = Path(__file__).parents[3] / "prompts/emoclip.yaml"


def test_emoclips_descriptions_are_there_for_all_eleven_classes():
    """One sentence a class, as in its makers' class_descriptions.yml."""
    found = read_prompt_file(EMOCLIP, CANONICAL)
    assert classes_in(EMOCLIP) == CANONICAL
    assert all(len(prompts) == 1 for prompts in found.values())
    assert found["anger"] == (
        "A facial expression showing irritation and unrest, with a wrinkled forehead, narrowed eyes, and tight lips or "
        "a frown",
    )
    assert found["sadness"][0].endswith("The face may appear physically withdrawn or resigned.")
    assert found["helplessness"][0].endswith("and the face may appear resigned or resigned")
