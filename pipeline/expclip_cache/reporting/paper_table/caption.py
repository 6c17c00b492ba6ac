"""What the caption of a table for a paper says."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from expclip_cache.reporting.comparison import Comparison
from expclip_cache.reporting.paper_table.columns import ColumnKey
from expclip_cache.reporting.paper_table.content import Block, Number, TableOptions
from expclip_cache.reporting.score_tables import note_on_drawn
from expclip_cache.reporting.system_names import OWN_ANSWERS
from expclip_cache.reporting.text_table import type_name


def caption_of(
    rows: Sequence[Comparison],
    columns: Mapping[ColumnKey, str],
    blocks: Sequence[Block],
    options: TableOptions,
    confidence: float,
    drawn: Collection[str],
) -> tuple[str, ...]:
    """Sentences about what the table shows, and only that."""
    sentences = list(_sentences(rows, columns, list(_numbers(blocks)), options, f"{confidence:g} %", drawn))
    names = {line.name.split(" ")[0].rstrip(",") for block in blocks for line in block.lines}
    if "EmoCLIP" in names and any(heading.startswith("MAFW") for heading in columns.values()):
        sentences.append("EmoCLIP was trained on MAFW.")
    if OWN_ANSWERS in names:
        sentences.append(
            "Answers: by the log-likelihood of the class names under an LLM, without CLIP; calibrated: minus its mean "
            "over training faces, without their labels."
        )
    return tuple(sentences)


def _sentences(
    rows: Sequence[Comparison],
    columns: Mapping[ColumnKey, str],
    numbers: Sequence[Number],
    options: TableOptions,
    confidence: str,
    drawn: Collection[str],
) -> Iterator[str]:
    metrics = "UAR and WAR" if options.intervals or options.std else "UAR/WAR"
    yield f"Zero-shot facial expression recognition, {metrics} in percent, {_prompts(rows)}."
    if folds := [heading for key, heading in columns.items() if key.part == "fold mean"]:
        yield f"{_listed(folds)}: mean over the folds."
    if seeds := sorted({row.seeds for row in rows if row.seeds > 1}):
        deviation = " ± standard deviation" if options.std else ""
        heads = "Exp-CLIP" if all(row.seeds > 1 for row in rows if row.head) else "Heads with several seeds"
        yield f"{heads}: mean{deviation} over {_listed(seeds)} seeds."
    if options.intervals:
        yield f"In brackets: {confidence} intervals over the test items."
    if any(number.best for number in numbers):
        yield "Bold: the best of each backbone."
    if any(number.covers for number in numbers):
        yield f"†: our {confidence} interval covers the published score, {_published_scores(rows)}."
    if options.published and (sources := _sources(rows)):
        yield f"Published: {sources}."
    if note := note_on_drawn([key.test_set for key in columns if key.part != "mean"], drawn):
        yield note


def _prompts(rows: Sequence[Comparison]) -> str:
    """Under which prompts, by prompt set where they differ."""
    kinds = {row.prompts: row.prompt_type for row in rows}
    if len(set(kinds.values())) == 1:
        kind = next(iter(kinds.values()))
        return f"prompt type {kind}" if kind else "prompts from a file"
    return "prompts: " + _listed(f"{name} ({type_name(kind)})" for name, kind in kinds.items())


def _published_scores(rows: Sequence[Comparison]) -> str:
    """Which published scores `†` speaks of."""
    heads = [row for row in rows if row.expclip]
    found = []
    if any(row.paper_clip for row in rows):
        methods = dict.fromkeys(row.method for row in rows if row.paper_clip)
        found.append(f"for {_listed(methods)} that in the table of the Exp-CLIP paper")
    if any(row.log for row in heads):
        found.append("for Exp-CLIP that in the test log of its repository for this prompt type")
    if any(row.paper_expclip and not row.log for row in heads):
        found.append("for Exp-CLIP with other prompts that in the table of the paper")
    return _listed(found)


def _sources(rows: Sequence[Comparison]) -> str:
    """Where the published rows are from."""
    found = []
    if any(row.paper_clip or row.paper_expclip for row in rows):
        found.append("rows named paper are from the table of the Exp-CLIP paper, which does not state its prompt type")
    if any(row.log for row in rows):
        found.append("rows named log are from the test log in its repository")
    return "; ".join(found)


def _numbers(blocks: Sequence[Block]) -> Iterator[Number]:
    for block in blocks:
        for line in block.lines:
            for cell in filter(None, line.cells):
                yield from (cell.uar, cell.war)


def _listed(words: Iterable[object]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = map(str, words)
    return f"{', '.join(most)} and {last}" if most else last
