"""The charts of LLMs' own answers on the page."""

from markupsafe import Markup

from expclip_cache.reporting.charts.heatmap import confusion_heatmap
from expclip_cache.reporting.charts.scores import recall_bars
from expclip_cache.reporting.charts.systems import Mark, systems_chart
from expclip_cache.reporting.page.answer_content import AnswerSection, AnswerView
from expclip_cache.reporting.page.content import View
from expclip_cache.scoring import CALIBRATED
from expclip_cache.statistics import Interval, SystemScores


def answers_chart(answers: AnswerView, head: View) -> Markup:
    """UAR of CLIP, Exp-CLIP with a head, and an LLM's own answers, calibrated and raw, on every test set."""
    systems = {
        "CLIP": ("clip", head.clip),
        "Exp-CLIP": ("expclip", head.rows),
        "answers, calibrated": ("answers", answers.rows[CALIBRATED]),
        "answers, raw": ("raw", answers.rows["raw"]),
    }
    found = {name: (css, {row.test_set: row for row in rows}) for name, (css, rows) in systems.items()}

    def mark(name: str, css: str, row: SystemScores) -> Mark:
        return Mark(name, css, row.uar, (row.intervals.uar.low, row.intervals.uar.high))

    sets = [row.test_set for row in head.rows]
    return Markup(
        systems_chart([(one, [mark(name, css, rows[one]) for name, (css, rows) in found.items()]) for one in sets])
    )


def answers_figures(section: AnswerSection) -> dict[str, Markup]:
    """Recalls and confusion matrices of one test set."""
    names = ("raw answers", "calibrated answers")
    return {
        "recall": Markup(
            recall_bars(
                section.classes,
                section.raw_recall.tolist(),
                [section.calibrated_recall.tolist()],
                list(map(span, section.raw_intervals)),
                list(map(span, section.calibrated_intervals)),
                names,
                ("raw", "answers"),
            )
        ),
        "raw": Markup(confusion_heatmap(section.classes, section.raw, names[0], right="answers")),
        "calibrated": Markup(confusion_heatmap(section.classes, section.calibrated, names[1], right="answers")),
    }


def span(interval: Interval | None) -> tuple[float, float] | None:
    """Low and high."""
    return interval and (interval.low, interval.high)
