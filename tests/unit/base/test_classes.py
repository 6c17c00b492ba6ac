import pytest

from expclip_cache.base.classes import ADJECTIVES, CANONICAL, canonical_name, canonical_order


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Happy", "happiness"),
        ("HAPPINESS", "happiness"),
        ("sad", "sadness"),
        ("Neutral", "neutral"),
        ("angry", "anger"),
        ("surprised", "surprise"),
        ("Surprise", "surprise"),
        ("disgusted", "disgust"),
        ("fearful", "fear"),
        ("contemptuous", "contempt"),
        ("anxious", "anxiety"),
        ("helpless", "helplessness"),
        ("disappointed", "disappointment"),
        ("boredom", None),
        ("3", None),
        ("", None),
    ],
)
def test_nouns_and_adjectives_are_accepted_in_any_case(word, name):
    assert canonical_name(word) == name


def test_benchmarks_have_the_first_seven_eight_or_eleven_classes():
    assert CANONICAL[:7] == ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
    assert CANONICAL[7:] == ("contempt", "anxiety", "helplessness", "disappointment")


def test_every_class_has_its_own_adjective():
    assert tuple(ADJECTIVES) == CANONICAL
    assert len(set(ADJECTIVES.values())) == len(CANONICAL)


def test_names_are_unique_and_in_canonical_order_then_as_given():
    assert canonical_order(["zeal", "fear", "boredom", "happiness", "fear"]) == (
        "happiness",
        "fear",
        "zeal",
        "boredom",
    )
    assert canonical_order(reversed(CANONICAL)) == CANONICAL
