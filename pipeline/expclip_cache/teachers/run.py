"""The comparison of a study's teachers, from cached features to rows."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from expclip_cache.base import DataError, Reporter, SettingsError
from expclip_cache.scoring import predict_dataset
from expclip_cache.statistics import (
    ScoreDraws,
    StatisticsSettings,
    intervals,
    item_outcomes,
    score_draws,
)
from expclip_cache.teachers.fit import StateHead, fit_state, held_out_batches
from expclip_cache.teachers.inputs import TeacherInputs, TeacherTargets
from expclip_cache.teachers.results import TeacherResults, TeacherRow, TestSetRow
from expclip_cache.teachers.state_sums import sum_states
from expclip_cache.teachers.target_scores import target_scores
from expclip_cache.teachers.wording_agreement import wording_scores

CLIP = ("", "", None)
"""Teacher, reading and layer of plain CLIP."""


def compare_teachers(
    inputs: Sequence[TeacherInputs], statistics: StatisticsSettings, report: Reporter
) -> TeacherResults:
    """Fit a head in closed form for every state of every teacher, score it with and without labels.

    A state without a head that tells held-out images apart is left out and said; so is a backbone without any.

    Raises:
        CacheError: a cache is damaged, or the caches come from different manifests.
        DataError: a test set has no labels, or there is no head to compare.
        SettingsError: fewer than two images would be held out.
    """
    found = [_of_backbone(one, statistics, report) for one in inputs]
    if not any(one.teachers for one in found):
        raise DataError(
            f"{', '.join(str(one.images) for one in inputs)}: no teacher gives a head that tells held-out images "
            "apart. Check that images and targets are paired, or use more images."
        )
    return TeacherResults(
        tuple(row for one in found for row in one.teachers), tuple(row for one in found for row in one.test_sets)
    )


def _of_backbone(inputs: TeacherInputs, statistics: StatisticsSettings, report: Reporter) -> TeacherResults:
    """The rows of one backbone; none if no teacher has a head."""
    if len(inputs.held_out) < 2:
        raise SettingsError(
            f"{inputs.images}: held_out is {inputs.ridge.held_out}, which holds out {len(inputs.held_out)} of "
            f"{len(inputs.rows)} images; teachers are compared on 2 or more. Use more images."
        )
    clip = _draws(inputs, {"clip": None}, statistics)["clip"]
    teachers: list[TeacherRow] = []
    tests = list(_test_set_rows(inputs, CLIP, clip, statistics))
    xx = None
    for targets in inputs.targets:
        with report.bar(f"{targets.name} with {inputs.backbone}", len(inputs.fitted), "image") as bar:
            sums = sum_states(inputs.images, targets, inputs.fitted, xx, bar.advance)
        xx = sums[0].xx
        heads = [fit_state(inputs, targets, state, own) for state, own in enumerate(sums)]
        for state in (state for state, head in zip(targets.states, heads, strict=True) if head is None):
            report.say(f"{targets.name} {state} with {inputs.backbone}: no head tells held-out images apart; left out")
        named = {f"{number}": head.weights for number, head in enumerate(heads) if head}
        draws = _draws(inputs, named, statistics)
        for number, head in enumerate(heads):
            if head:
                state = targets.states[number]
                tests += _test_set_rows(inputs, (targets.name, state.read, state.layer), draws[f"{number}"], statistics)
                teachers.append(_teacher_row(inputs, targets, number, head, tests[-1], statistics))
    return TeacherResults(tuple(teachers), tuple(tests) if teachers else ())


def _draws(
    inputs: TeacherInputs, heads: Mapping[str, np.ndarray | None], statistics: StatisticsSettings
) -> dict[str, dict[str, ScoreDraws]]:
    """Name of a head (None: plain CLIP) -> test set -> draws of its scores."""
    kind, aggregation = inputs.prompt_type, inputs.prompt_settings.aggregation
    given = {name: head for name, head in heads.items() if head is not None}
    found: dict[str, dict[str, ScoreDraws]] = {name: {} for name in heads}
    for key, test in inputs.tests.items():
        predictions = predict_dataset(test.images, inputs.embeddings, test.table, given, aggregation)
        for name in heads:
            answers = predictions.expclip[kind][name] if name in given else predictions.clip[kind]
            right = (answers == predictions.truth).astype(float)
            outcomes = item_outcomes(predictions.truth, right, len(predictions.classes))
            # Drawn by the name of the test set, as its other intervals are.
            found[name][key] = score_draws(outcomes, statistics, key)
    return found


def _test_set_rows(
    inputs: TeacherInputs,
    key: tuple[str, str, float | None],
    draws: Mapping[str, ScoreDraws],
    statistics: StatisticsSettings,
) -> Iterator[TestSetRow]:
    """A row for each group of test sets; the last one is over all of them."""
    teacher, read, layer = key
    for group in inputs.groups:
        own = group.draws(draws[name] for name in group.names)
        spread = intervals(own, statistics)
        yield TestSetRow(
            backbone=inputs.backbone,
            teacher=teacher,
            read=read,
            layer=layer,
            test_set=group.test_set,
            part=group.part,
            items=sum(int(draws[name].items.sum()) for name in group.names),
            uar=float(own.uar[0]),
            uar_low=spread.uar.low,
            uar_high=spread.uar.high,
            war=float(own.war[0]),
            war_low=spread.war.low,
            war_high=spread.war.high,
            made_from=inputs.made_from,
        )


def _teacher_row(
    inputs: TeacherInputs,
    targets: TeacherTargets,
    number: int,
    head: StateHead,
    over_all: TestSetRow,
    statistics: StatisticsSettings,
) -> TeacherRow:
    tables = [(test.images.classes, test.table) for test in inputs.tests.values()]
    wordings = wording_scores(inputs.images, inputs.held_out, inputs.embeddings, tables, head.weights)
    held_out = target_scores(head.weights, held_out_batches(inputs, targets, number))
    state = targets.states[number]
    return TeacherRow(
        backbone=inputs.backbone,
        teacher=targets.name,
        model=targets.model,
        instruction=targets.instruction,
        read=state.read,
        layer=state.layer,
        prompts=inputs.prompts,
        prompt_type=inputs.prompt_type,
        relative_lambda=f"{head.relative_lambda:g}",
        rows=len(inputs.fitted),
        held_out=len(inputs.held_out),
        agreement=wordings.agreement,
        balance=wordings.balance,
        mrr=held_out.mrr,
        r2=held_out.r2,
        constant=held_out.constant,
        rank=held_out.rank,
        uar=over_all.uar,
        uar_low=over_all.uar_low,
        uar_high=over_all.uar_high,
        confidence=statistics.confidence,
        made_from=inputs.made_from,
    )
