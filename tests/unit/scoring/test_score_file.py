"""The file of scores: an exact round trip, and nothing but what was written is accepted."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expclip_cache.base.errors import DataError
from expclip_cache.scoring import score_file
from expclip_cache.scoring.checked_file import write_checked
from expclip_cache.scoring.results import HeadScores, PromptSetScores, TestSetScores
from expclip_cache.scoring.score_file import read_score_file, write_score_file

COUNTS = st.integers(0, 2**62)
TEXT = st.text(st.characters(codec=None), max_size=12)
"""Any text: quotes, line ends, and the lone surrogates of file names that are not UTF-8."""


@st.composite
def any_scores(draw):
    c = draw(st.integers(1, 4))
    matrix = st.lists(COUNTS, min_size=c * c, max_size=c * c).map(lambda n: np.array(n, dtype=np.int64).reshape(c, c))
    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    )
    types = draw(st.lists(st.integers(0, 5), unique=True, max_size=3))
    confusions = st.fixed_dictionaries(dict.fromkeys(types, matrix))
    heads = st.builds(
        HeadScores,
        teacher=TEXT,
        head=TEXT,
        seed=st.none() | st.integers(0, 9),
        sha256=TEXT,
        confusions=confusions,
        changes=json_values,
    )
    scores = st.builds(
        PromptSetScores,
        made_by=st.dictionaries(TEXT, TEXT, max_size=2),
        clip=confusions,
        heads=st.lists(heads, max_size=3).map(tuple),
    )
    return TestSetScores(
        backbone=draw(TEXT),
        test_set=draw(TEXT),
        classes=tuple(draw(st.lists(TEXT, min_size=c, max_size=c))),
        images=draw(st.dictionaries(TEXT, json_values, max_size=2)),
        prompt_sets=draw(st.dictionaries(TEXT, scores, max_size=2)),
    )


def plain(value):
    """Dataclasses and arrays as values that == compares, with their types."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if isinstance(value, TestSetScores | PromptSetScores | HeadScores):
        return type(value).__name__, {name: plain(item) for name, item in vars(value).items()}
    if isinstance(value, dict):
        return [(key, plain(item)) for key, item in value.items()]
    return [type(value).__name__, *map(plain, value)] if isinstance(value, list | tuple) else value


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(found=any_scores())
def test_what_is_written_is_what_is_read(tmp_path, found):
    path = tmp_path / "b32/test.json"
    write_score_file(path, found)
    assert plain(read_score_file(path)) == plain(found)
    raw = path.read_bytes()
    write_score_file(path, read_score_file(path))
    assert path.read_bytes() == raw


def matrix(*rows):
    return np.array(rows, dtype=np.int64)


SAMPLE = TestSetScores(
    backbone="b32",
    test_set="faces",
    classes=("happiness", "fear"),
    images={"skipped": [{"row": 3, "path": 'a"prompt_sets"\udcff{"teacher"', "reason": "x"}]},
    prompt_sets={
        "reference": PromptSetScores(
            made_by={"code": "a", "images": "b", "prompts": "c"},
            clip={2: matrix([3, 1], [0, 4]), 5: matrix([4, 0], [1, 3])},
            heads=(
                HeadScores("t5", "sgd", 1, "d", {2: matrix([4, 0], [0, 4]), 5: matrix([3, 1], [1, 3])}, {"counts": {}}),
                HeadScores("t5", "ridge", None, "e", {2: matrix([1, 3], [0, 4]), 5: matrix([3, 1], [2, 2])}, None),
            ),
        )
    },
)


@pytest.fixture
def path(tmp_path):
    write_score_file(tmp_path / "test.json", SAMPLE)
    return tmp_path / "test.json"


def test_a_line_for_each_head(path):
    lines = path.read_text().splitlines()
    assert [line[:14] for line in lines] == [
        '{"backbone": "',
        '"prompt_sets":',
        '{"teacher": "t',
        '{"teacher": "t',
        '"xxh3_128": "' + lines[-1][13],
    ]
    assert json.loads(path.read_bytes())["prompt_sets"]["reference"]["clip"]["5"] == [[4, 0], [1, 3]]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_noticed(path, data):
    raw = bytearray(path.read_bytes())
    before = bytes(raw)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"test\.json: .*`dvc repro scores`"):
        read_score_file(path)
    path.write_bytes(before)


def test_a_missing_file_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"no\.json: the scores cannot be read \(No such file.*Run `dvc repro scores`"):
        read_score_file(tmp_path / "no.json")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_score_file(tmp_path)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"3",
        b'"text"',
        b"[]",
        b"{}",
        b'{"xxh3_128": 3}',
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a": ' * 100_000,
        b"1" * 10_000,
    ],
)
def test_hostile_files_are_refused(path, raw):
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"test\.json: (is not a file of scores|does not match its own checksum)"):
        read_score_file(path)


def edited(tree, keys, value):
    *parents, last = keys
    for key in parents:
        tree = tree[key]
    if value is ...:
        del tree[last]
    else:
        tree[last] = value


REFERENCE = ("prompt_sets", "reference")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("backbone",), ...),
        (("classes",), 3),
        (("classes",), ["happiness"]),
        (("prompt_sets",), []),
        (("prompt_sets",), {"reference": []}),
        ((*REFERENCE, "made_by"), ...),
        ((*REFERENCE, "clip"), None),
        ((*REFERENCE, "clip"), {}),
        ((*REFERENCE, "clip", "two"), [[1, 1], [1, 1]]),
        ((*REFERENCE, "clip", "2"), ...),
        ((*REFERENCE, "clip", "2"), [[1, 1], [1]]),
        ((*REFERENCE, "clip", "2"), [[1, 1]]),
        ((*REFERENCE, "clip", "2"), [1, 1, 1, 1]),
        ((*REFERENCE, "clip", "2"), []),
        ((*REFERENCE, "clip", "2"), "1111"),
        ((*REFERENCE, "clip", "2"), [[1, 1], [1, -1]]),
        ((*REFERENCE, "clip", "2"), [[1, 1], [1, 0.5]]),
        ((*REFERENCE, "clip", "2"), [[1, 1], [1, None]]),
        ((*REFERENCE, "clip", "2"), [["1", "1"], ["1", "1"]]),
        ((*REFERENCE, "clip", "2"), [[True, False], [True, True]]),
        ((*REFERENCE, "clip", "2"), [[1, 1], [1, 2**63]]),
        ((*REFERENCE, "clip", "2"), [[1, 1], [1, 10**400]]),
        ((*REFERENCE, "clip", "2"), [[1, 1], [1, float("nan")]]),
        ((*REFERENCE, "clip", "2"), [[1, 1], [1, float("inf")]]),
        ((*REFERENCE, "heads"), None),
        ((*REFERENCE, "heads", 0), "sgd"),
        ((*REFERENCE, "heads", 0, "seed"), ...),
        ((*REFERENCE, "heads", 0, "seeds"), [1]),
        ((*REFERENCE, "heads", 0, "confusions"), ...),
        ((*REFERENCE, "heads", 0, "confusions", "5"), ...),
        ((*REFERENCE, "heads", 0, "confusions", "4"), [[1, 1], [1, 1]]),
        ((*REFERENCE, "heads", 1, "confusions", "5"), [[1, 1, 0], [1, 1, 0], [0, 0, 0]]),
    ],
)
def test_a_valid_checksum_does_not_make_a_file_sensible(path, keys, value):
    tree = json.loads(path.read_bytes())
    del tree["xxh3_128"]
    edited(tree, keys, value)
    write_checked(path, score_file._to_text(tree))
    with pytest.raises(DataError, match=r"test\.json: is not a file of scores .*Delete it and run"):
        read_score_file(path)
