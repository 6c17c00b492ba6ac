"""Loading and validation of settings files."""

from pathlib import Path

import pytest

from expclip_cache.base.errors import SettingsError
from expclip_cache.base.section import build
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.settings.file import load_settings
from expclip_cache.workers.settings import RunSettings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def edited(tmp_path):
    def edit(old: str, new: str) -> Path:
        text = (ROOT / "configs/demo.yaml").read_text()
        assert old in text
        path = tmp_path / "params.yaml"
        path.write_text(text.replace(old, new))
        return path

    return edit


@pytest.mark.parametrize(
    "path", ["params.yaml", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("configs/*"))]
)
def test_included_settings_files_are_valid(path):
    load_settings(ROOT / path)


def test_an_unknown_key_is_an_error_that_lists_the_known_keys_and_the_closest(edited):
    with pytest.raises(
        SettingsError,
        match=r"heads\.contrastive\.learning_rate: unknown key.*Known keys: backbones, teachers, kind, lr, momentum, ",
    ):
        load_settings(edited("    lr: 0.03", "    learning_rate: 0.01"))
    with pytest.raises(SettingsError, match="Did you mean 'epochs'"):
        load_settings(edited("    epochs: 20", "    epoch: 20"))
    with pytest.raises(
        SettingsError, match=r"heads\.ridge\.epochs: unknown key. Known keys: backbones, .*, kind, lambdas, choose, "
    ):
        load_settings(edited("kind: ridge ", "kind: ridge\n    epochs: 5 "))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "demo-train:\n    source",
            "demo-train:\n    sorce",
            r"datasets\.demo-train\.sorce: unknown key. Did you mean 'source'",
        ),
        ("draw: {count: 420", "draw: {cuont: 420", r"datasets\.demo-clips\.draw\.cuont: unknown.*Did you mean 'count'"),
        ("model: demo      ", "modell: demo      ", r"backbones\.demo-clip\.modell: unknown key. Did you mean 'model'"),
        ("heads:  ", "haeds:  ", r"params\.yaml: haeds: unknown key. Did you mean 'heads'"),
    ],
)
def test_an_unknown_key_is_named_with_its_whole_path(edited, old, new, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(edited(old, new))


def test_a_head_says_its_kind(edited):
    with pytest.raises(SettingsError, match=r"heads\.ridge\.kind: expected contrastive or ridge, found 'rigde'"):
        load_settings(edited("kind: ridge ", "kind: rigde "))
    with pytest.raises(
        SettingsError, match=r"heads\.ridge\.kind: expected contrastive or ridge, but the key is missing"
    ):
        load_settings(edited("    kind: ridge ", "    # no kind "))


def test_a_prompt_file_must_be_in_the_folder_that_dvc_tracks(edited):
    assert load_settings(edited("set: reference", "set: prompts/mine.yaml")).prompts["reference"].is_file
    with pytest.raises(SettingsError, match=r"prompts\.reference\.set is 'mine\.yaml'.*move the file there"):
        load_settings(edited("set: reference", "set: mine.yaml"))


def test_every_error_is_listed(edited):
    path = edited("    epochs: 20", "    epochs: 0\n    speed: 1")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert "heads.contrastive.epochs" in str(caught.value)
    assert "heads.contrastive.speed" in str(caught.value)


def test_scientific_notation_is_a_number(edited):
    assert load_settings(edited("  lr: 0.03", "  lr: 1e-3")).heads["contrastive"].lr == 0.001


def test_an_unknown_dataset_name(edited):
    with pytest.raises(SettingsError, match=r"train\.dataset names 'demo-trian', which is not in datasets: demo-train"):
        load_settings(edited("  dataset: demo-train", "  dataset: demo-trian"))


def test_a_name_with_a_dot_is_refused_in_words(edited):
    with pytest.raises(
        SettingsError, match=r"heads\.lr-0\.1: a name has letters, digits, - and _ alone, found 'lr-0\.1'"
    ):
        load_settings(edited("\n  ridge:\n", "\n  lr-0.1:\n"))
    with pytest.raises(SettingsError, match=r"train\.dataset: a name has letters, .*, found 'a/b'"):
        load_settings(edited("  dataset: demo-train", "  dataset: a/b"))


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("backbones: [clip]", r"heads\.ridge\.backbones names 'clip', which is not in backbones: demo-clip"),
        ("teachers: [llm]", r"heads\.ridge\.teachers names 'llm', which is not in teachers: demo-llm"),
        ("backbones: [demo-clip, demo-clip]", r"heads\.ridge\.backbones names 'demo-clip' twice"),
    ],
)
def test_a_head_names_encoders_of_the_study(edited, new, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(edited("kind: ridge ", f"kind: ridge\n    {new} "))


def test_two_encoders_with_the_same_name_are_rejected(edited):
    """The name is a key, so two encoders cannot share a folder."""
    with pytest.raises(SettingsError, match=r'(?s)not valid YAML.*duplicate key "demo-clip"'):
        load_settings(edited("backbones:  ", "backbones:\n  demo-clip: {model: other}\n#"))


@pytest.mark.parametrize("section", ["backbones", "teachers", "heads", "prompts"])
def test_a_study_has_at_least_one_of_each(edited, section):
    text = (ROOT / "configs/demo.yaml").read_text()
    start = text.index(f"{section}:")
    end = text.index("\n\n", start)
    with pytest.raises(SettingsError, match=rf"{section}: Dictionary should have at least 1 item"):
        load_settings(edited(text[start:end], f"{section}: {{}}"))


def test_ridge_takes_one_target_per_image(edited):
    path = edited("mode: eval ", "mode: dropout\n    draws: 5 ")
    with pytest.raises(
        SettingsError,
        match=r"heads\.ridge is a ridge head, .*teachers\.demo-llm\.draws is 5; set draws: 1, or name other",
    ):
        load_settings(path)


def test_each_head_is_for_every_pair_unless_it_names_its_own(edited):
    text = "  second: {model: demo, weights: random}\n\nteachers:\n  other: {model: demo, weights: random}\n#"
    path = edited("\nteachers:", text)
    path.write_text(
        path.read_text().replace("kind: ridge ", "kind: ridge\n    backbones: [second]\n    teachers: [other] ")
    )
    # The preset's contrastive heads name their teacher, and this ridge head its backbone too.
    assert [(backbone, teacher, list(heads)) for backbone, teacher, heads in load_settings(path).pairs()] == [
        ("demo-clip", "demo-llm", ["contrastive"]),
        ("second", "other", ["ridge"]),
        ("second", "demo-llm", ["contrastive"]),
    ]
    one = load_settings(
        edited("    teachers:             # only this one's; by default every teacher's\n    - demo-llm\n", "")
    )
    assert [(backbone, teacher, list(heads)) for backbone, teacher, heads in one.pairs()] == [
        ("demo-clip", "demo-llm", ["contrastive", "ridge"]),
        ("demo-clip", "demo-background", ["contrastive", "ridge"]),
    ]


def test_a_set_without_labels_is_no_test_set(edited):
    with pytest.raises(
        SettingsError, match=r"score\.datasets names 'demo-train', which has no labels \(datasets\.demo-t"
    ):
        load_settings(edited("datasets:\n  - demo-clean\n", "datasets:\n  - demo-train\n  - demo-clean\n"))


def test_a_missing_file_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(SettingsError, match="`expclip-cache init` writes one"):
        load_settings(tmp_path / "params.yaml")


def test_invalid_yaml(tmp_path):
    (tmp_path / "params.yaml").write_text("clip: [")
    with pytest.raises(SettingsError, match="not valid YAML"):
        load_settings(tmp_path / "params.yaml")


def test_an_invalid_value():
    with pytest.raises(SettingsError, match=r"dtype: .*'float16' or 'float32', found 'int8'"):
        build(CacheSettings, dtype="int8")


@pytest.mark.parametrize(("given", "expected"), [("auto", "auto"), ("64", 64), (1, 1)])
def test_a_batch_size_is_a_number_or_auto(given, expected):
    assert build(RunSettings, batch_size=given).batch_size == expected


@pytest.mark.parametrize("given", ["many", 0, "-1", 2.5, True, None, "1_000", "²"])
def test_any_other_batch_size_is_rejected_in_one_sentence(given):
    with pytest.raises(
        SettingsError, match=r"^settings: batch_size: expected auto or a number of images >= 1, found .*$"
    ):
        build(RunSettings, batch_size=given)


def test_a_prompt_set_may_be_for_some_backbones_only(edited):
    two = "backbones:                # frozen CLIPs by name; features in features/images/<name>/\n"
    other = f"{two}  other:\n    kind: flava\n    model: models/flava\n"
    own = "    aggregation: mean       # over"
    settings = load_settings(
        edited_twice(
            edited,
            (two, other),
            (own, f"    backbones: [demo-clip]\n{own}"),
            ("train:\n", "  mine: {set: clean}\n\ntrain:\n"),
        )
    )
    assert list(settings.prompts_of("demo-clip")) == ["reference", "mine"]
    assert list(settings.prompts_of("other")) == ["mine"]
    with pytest.raises(SettingsError, match=r"prompts\.reference\.backbones names 'demo', which is not in backbones"):
        load_settings(edited(own, f"    backbones: [demo]\n{own}"))
    with pytest.raises(SettingsError, match=r"backbones\.other has no prompts: every prompt set names other backbones"):
        load_settings(edited_twice(edited, (two, other), (own, f"    backbones: [demo-clip]\n{own}")))


def test_a_backbone_of_an_unknown_kind_is_refused_with_those_there_are(edited):
    with pytest.raises(SettingsError, match=r"demo-clip\.kind: expected one of open-clip, transformers, .*'clip-o'"):
        load_settings(edited("    model: demo             # demo |", "    kind: clip-o\n    model: demo  # demo |"))


def edited_twice(edited, *changes: tuple[str, str]) -> Path:
    path = edited(*changes[0])
    text = path.read_text()
    for old, new in changes[1:]:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    return path


def test_an_unknown_published_system_is_refused_with_those_there_are(edited):
    path = edited("  demo-clip:\n", "  demo-clip:\n    published_as: FLAVVA\n")
    with pytest.raises(SettingsError, match=r"backbones\.demo-clip\.published_as: .*CLIP B/32.*FLAVA.*found 'FLAVVA'"):
        load_settings(path)


POOLED = "    pool: max\n    precision: fp32         # fp32 | fp16 | bf16\n"
PLAIN = "    precision: fp32         # fp32 | fp16 | bf16\n"
KEEPS = "\n  frames: {{model: demo, {more}pool: none}}\n"


def test_a_pooling_of_frames_needs_a_backbone_that_keeps_them(edited):
    with pytest.raises(
        SettingsError,
        match=r"backbones\.demo-clip pools frames by max, which needs the features of every frame: add a backbone with "
        r"the same settings and pool: none",
    ):
        load_settings(edited(PLAIN, POOLED))
    with pytest.raises(SettingsError, match="same settings and pool: none"):
        load_settings(edited(PLAIN, POOLED + KEEPS.format(more="preprocess: clip, ")))
    settings = load_settings(edited(PLAIN, POOLED + KEEPS.format(more="published_as: FLAVA, revision: abc, ")))
    assert settings.frames_of("demo-clip") == "frames"
    assert settings.frames_of("frames") is None
