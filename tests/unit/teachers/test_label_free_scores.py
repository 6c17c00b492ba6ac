"""Scores without labels are their plain formulas, by scikit-learn, statsmodels and SciPy where they have them."""

import numpy as np
import pytest
from scipy.stats import entropy, spearmanr
from sklearn.metrics import r2_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as witness_kappa

from expclip_cache.prompts import Prompt
from expclip_cache.scoring import PromptEmbeddings
from expclip_cache.teachers import TeacherRow, chosen, rank_correlation
from expclip_cache.teachers.target_scores import target_scores
from expclip_cache.teachers.wording_agreement import fleiss_kappa, wording_scores, wordings_of
from ridge_witness import features
from tiny_caches import write_cache

BATCHES = (slice(0, 30), slice(30, 55))


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def held_out():
    """W, images and targets of 55 rows."""
    X, Y = features(55, 8, 12, seed=3)
    W = np.linalg.lstsq(X, unit(Y), rcond=None)[0].T + 0.01 * np.random.default_rng(0).normal(size=(12, 8))
    return W.astype("f4"), X, Y


def found(held_out):
    W, X, Y = held_out
    return target_scores(W, ((X[rows], Y[rows]) for rows in BATCHES))


def test_r2_is_that_of_scikit_learn(held_out):
    W, X, Y = held_out
    expected = r2_score(unit(Y), X @ W.T.astype(float), multioutput="variance_weighted")
    assert found(held_out).r2 == pytest.approx(100 * expected)


def test_mrr_is_the_mean_reciprocal_rank_within_batches(held_out):
    W, X, Y = held_out
    reciprocal = []
    for rows in BATCHES:
        cosines = unit(X[rows] @ W.T.astype(float)) @ unit(Y[rows]).T
        for table in (cosines, cosines.T):
            for own, row in enumerate(table):
                order = sorted(range(len(row)), key=lambda other: -row[other])
                reciprocal.append(1 / (1 + order.index(own)))
    assert 3 < found(held_out).mrr < 97
    assert found(held_out).mrr == pytest.approx(100 * np.mean(reciprocal))


def test_the_constant_share_is_the_mean_cosine_of_two_targets(held_out):
    _, _, Y = held_out
    assert found(held_out).constant == pytest.approx(100 * (unit(Y) @ unit(Y).T).mean())


def test_the_effective_rank_is_that_of_the_covariance(held_out):
    _, _, Y = held_out
    values = np.linalg.eigvalsh(np.cov(unit(Y).T))
    assert found(held_out).rank == pytest.approx(values.sum() ** 2 / (values**2).sum())
    basis = np.vstack([np.eye(12)[:5], -np.eye(12)[:5]])
    assert target_scores(np.eye(12, 8), [(np.ones((10, 8)), basis)]).rank == pytest.approx(5)


def test_targets_without_any_variance_have_no_variance_to_explain():
    scores = target_scores(np.ones((3, 2)), [(np.eye(2), np.ones((2, 3)))])
    assert scores.constant == pytest.approx(100)
    assert np.isfinite([scores.r2, scores.rank, scores.mrr]).all()


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_that_of_statsmodels(seed):
    random = np.random.default_rng(seed)
    answers = np.where(random.random((6, 40)) < 0.6, random.integers(4, size=40), random.integers(4, size=(6, 40)))
    table, _ = aggregate_raters(answers.T, n_cat=4)
    assert fleiss_kappa(answers, 4) == pytest.approx(witness_kappa(table))


def test_wordings_are_as_many_as_every_class_has():
    table = [Prompt(0, name, f"{name} {k}") for name, count in (("a", 3), ("b", 2)) for k in range(count)]
    assert [[prompt.text for prompt in one] for one in wordings_of(table, ("a", "b"))] == [
        ["a 0", "b 0"],
        ["a 1", "b 1"],
    ]


@pytest.fixture
def worded(tmp_path):
    """Images of width 6, five prompts for each of three classes, and a head."""
    random = np.random.default_rng(1)
    centres = random.normal(size=(3, 6))
    x = centres[random.integers(3, size=60)] + random.normal(size=(60, 6))
    table = [Prompt(5, name, f"{name} {k}") for name in "abc" for k in range(5)]
    texts = {one.text: centres["abc".index(one.class_name)] + 0.6 * random.normal(size=6) for one in table}
    images = write_cache(tmp_path / "images", x.astype("f4"), 16, (3,), logit_scale=100.0)
    embeddings = PromptEmbeddings({text: vector.astype("f4") for text, vector in texts.items()})
    return images, embeddings, table, random.normal(size=(9, 6)).astype("f4")


def test_agreement_and_balance_of_answers_by_plain_cosines(worded):
    images, embeddings, table, head = worded
    rows = images.good_rows[::2]
    scores = wording_scores(images, rows, embeddings, [(("a", "b", "c"), table)], head)
    q = unit(images[rows] @ head.T)
    t = np.stack([[unit(embeddings[f"{name} {k}"] @ head.T) for k in range(5)] for name in "abc"])
    answers = np.stack([(q @ t[:, k].T).argmax(axis=1) for k in range(5)])
    counted, _ = aggregate_raters(answers.T, n_cat=3)
    assert 10 < scores.agreement < 95
    assert scores.agreement == pytest.approx(100 * witness_kappa(counted))
    shares = np.bincount((q @ t.mean(axis=1).T).argmax(axis=1), minlength=3)
    assert scores.balance == pytest.approx(100 * entropy(shares / shares.sum(), base=3))


def test_several_test_sets_count_alike_and_a_single_wording_gives_no_agreement(worded):
    images, embeddings, table, head = worded
    two = [prompt for prompt in table if prompt.class_name != "c"]
    sets = [(("a", "b", "c"), table), (("a", "b"), two), (("a", "b"), two)]
    rows = images.good_rows
    each = [wording_scores(images, rows, embeddings, [one], head) for one in sets]
    together = wording_scores(images, rows, embeddings, sets, head)
    assert together.agreement == pytest.approx(np.mean([one.agreement for one in each]))
    assert together.balance == pytest.approx(np.mean([one.balance for one in each]))
    single = [prompt for prompt in table if prompt.text.endswith("0")]
    alone = wording_scores(images, rows, embeddings, [(("a", "b", "c"), single)], head)
    assert alone.agreement is None
    assert alone.balance > 0


def row(uar: float, agreement: float | None, teacher: str = "a") -> TeacherRow:
    return TeacherRow(
        backbone="b32", teacher=teacher, model="m", instruction="", read="all", layer=1.0, prompts="reference",
        prompt_type=5, relative_lambda="0.1", rows=90, held_out=10, agreement=agreement, balance=99.0, mrr=uar,
        r2=50.0, constant=1.0, rank=2.0, uar=uar, uar_low=uar, uar_high=uar, confidence=95.0, made_from="x",
    )  # fmt: skip


def test_the_choice_is_the_highest_agreement_and_the_correlation_that_of_scipy():
    rows = [row(50.0, 80.0), row(60.0, 95.0, "b"), row(70.0, 90.0, "c"), row(40.0, 80.0, "d")]
    assert chosen(rows) is rows[1]
    expected = spearmanr([80, 95, 90, 80], [50, 60, 70, 40]).statistic
    assert rank_correlation(rows, "agreement") == pytest.approx(expected)
    assert rank_correlation(rows, "mrr") == pytest.approx(1)
    assert rank_correlation(rows, "r2") is None
    assert rank_correlation(rows[:2], "agreement") is None
    assert rank_correlation([*rows, row(1.0, None)], "agreement") is None
    assert chosen([row(1.0, None)]) is None
