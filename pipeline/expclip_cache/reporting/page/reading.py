"""The results of a study -> the content of the page."""

from collections.abc import Iterator, Mapping, Sequence

from expclip_cache.cache import Json
from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.other_systems import NO_OTHERS, OtherSystems
from expclip_cache.reporting.page.answer_sections import answer_views
from expclip_cache.reporting.page.content import CacheSource, Page, ReportInputs, SkippedInput, View
from expclip_cache.reporting.page.examples import ExampleReader
from expclip_cache.reporting.page.head_results import HeadResults, read_head_results
from expclip_cache.reporting.page.set_sections import SectionReader
from expclip_cache.reporting.score_tables import note_on_drawn
from expclip_cache.reporting.sections import sections_of
from expclip_cache.reporting.system_names import other_models, several_of, system_names
from expclip_cache.reporting.weakest_class import class_recalls
from expclip_cache.statistics import Row, System, SystemScores, mean_scores, system_scores, under_highest_type

MAX_SECTIONS = 120
"""Most sections of a test set with a head, about 150 KB each. Views beyond show everything but these."""


def read_page(
    inputs: ReportInputs,
    compared: Sequence[Comparison],
    others: OtherSystems = NO_OTHERS,
    *,
    most_sections: float | None = None,
) -> Page:
    """Put together what the page shows.

    Args:
        inputs: the results of a study.
        compared: our scores beside the published ones.
        others: the other systems with published scores.
        most_sections: views beyond have none; by default `MAX_SECTIONS`.

    Raises:
        DataError: a result file of the heads is missing or damaged.
    """
    measured = (*inputs.scores, *inputs.answers)
    scores = system_scores((row for found in measured for row in found.rows()), inputs.statistics)
    examples = ExampleReader(inputs.roots)
    caches = dict(_caches(inputs, read := read_head_results(inputs.heads), [row.system for row in scores]))
    skipped = (SkippedInput(name, **item) for (name, _), record in caches.items() for item in record["skipped"])
    return Page(
        scores=tuple(scores),
        statistics=inputs.statistics,
        recalls=class_recalls(measured),
        drawn=note_on_drawn([row.test_set for row in scores], inputs.drawn),
        no_clips=other_models(inputs.scores),
        views=tuple(
            _views(inputs, scores, compared, read, examples, MAX_SECTIONS if most_sections is None else most_sections)
        ),
        answers=tuple(answer_views(inputs, scores, mean_scores(scores, inputs.statistics), examples)),
        others=others,
        trained_on=inputs.trained_on,
        sources=tuple(
            _source(f"{name} ({of})" if of else name, record)
            for (name, of), record in (caches | dict(_calibration(inputs))).items()
        ),
        skipped=tuple(dict.fromkeys(skipped)),
        settings=inputs.settings,
        versions=inputs.versions,
        probes=inputs.probes,
        stale_probes=inputs.stale_probes,
        teachers=inputs.teachers,
        stale_teachers=inputs.stale_teachers,
    )


def _views(
    inputs: ReportInputs,
    scores: Sequence[SystemScores],
    compared: Sequence[Comparison],
    heads: HeadResults,
    examples: ExampleReader,
    room: float,
) -> Iterator[View]:
    systems = [row.system for row in scores]
    names, highest = system_names(systems), under_highest_type(scores)
    means = {row.system: row for row in under_highest_type(mean_scores(scores, inputs.statistics))}
    sections = SectionReader(inputs.scores, inputs.statistics, inputs.calibration, examples)
    for number, system in enumerate(head for section in sections_of(systems) for head in section.heads):
        rows = tuple(row for row in highest if row.system == system)
        shown_row = Row(system, rows[0].prompt_type)
        plain = shown_row.plain_clip
        # The first view has its sections however many test sets there are.
        shown = rows if number == 0 or len(rows) <= room else ()
        room -= len(rows)
        own = (row for row in compared if row.system == system)
        yield View(
            name=names[system],
            system=system,
            rows=rows,
            clip=tuple(row for row in highest if row.system == plain.system),
            mean=means.get(system, rows[0]),
            paired=tuple(one for one in inputs.statistics.differences if (one.row, one.against) == (shown_row, plain)),
            sets=tuple(sections.read(row) for row in shown),
            compared=tuple(row for row in own if row.is_published or row.part not in ("whole", "mean")),
            losses=heads.losses.get(system[:3], {}),
            training=heads.metrics(system),
        )


def _caches(
    inputs: ReportInputs, heads: HeadResults, systems: Sequence[System]
) -> Iterator[tuple[tuple[str, str], Mapping[str, Json]]]:
    """The dataset and what it is told apart by -> `FeatureCache.describe()`: test sets, then the training set."""
    several = "backbone" in several_of(systems)
    for found in inputs.scores:
        yield (found.test_set, found.backbone if several else ""), found.images
    for found in inputs.answers:
        yield (found.test_set, f"answers, {found.name}"), found.images
    for kind, caches in heads.caches.items():
        for name, record in caches.items():
            yield (inputs.trained_on, f"{kind}, {name}"), record


def _calibration(inputs: ReportInputs) -> Iterator[tuple[tuple[str, str], Mapping[str, Json]]]:
    """The caches of the answers for training faces; their rows are some of the training set's."""
    for found in inputs.answers:
        classes = ", ".join(found.classes)
        yield (inputs.trained_on, f"answers, {found.name}, calibration for {classes}"), found.calibration


def _source(name: str, record: Mapping[str, Json]) -> CacheSource:
    return CacheSource(name, record["rows"], record["fingerprint"], record["settings"], record["encoder"])
