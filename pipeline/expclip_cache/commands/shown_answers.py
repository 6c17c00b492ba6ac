"""The answers of `predict` as they come: on standard output, in a csv file, as annotated copies."""

import sys
from collections import Counter
from collections.abc import Sequence

from expclip_cache.base import DataError, SilentReporter, TerminalReporter, printable_name
from expclip_cache.datasets import is_video
from expclip_cache.prediction import (
    AnswerTable,
    Input,
    Moment,
    Prediction,
    Predictor,
    SavedCopies,
    moment_to_json,
    prediction_to_bars,
    prediction_to_json,
    prediction_to_lines,
    timeline_to_text,
)

FEW = 4
"""Up to this many inputs are shown with bars, more inputs with one line each and a summary."""

TOP = 3
"""Classes on a line."""


class ShownAnswers:
    """Shows answers, and writes them to where else they are wanted.

    Attributes:
        failed: inputs without an answer.
    """

    def __init__(
        self,
        report: TerminalReporter,
        table: AnswerTable | None,
        copies: SavedCopies | None,
        compare: bool,
        top: int | None,
        as_json: bool,
    ):
        self.failed = 0
        self._report, self._table, self._copies = report, table, copies
        self._compare, self._top, self._as_json = compare, top, as_json
        self._out = TerminalReporter(sys.stdout)

    def show(self, predictor: Predictor, inputs: Sequence[Input], batch_size: int) -> None:
        """One answer for each face of each input."""
        few = len(inputs) <= FEW
        best: Counter[str] = Counter()
        predictions = predictor.many((each.path for each in inputs), batch_size)
        progress = SilentReporter() if few else self._report
        with progress.bar("classifying", len(inputs), "input") as bar:
            for each, prediction in zip(inputs, predictions, strict=True):
                self._show(each, prediction, few)
                best.update("unsure" if answer.unsure else answer.best for answer in prediction.answers)
                bar.advance(1)
        if not few:
            words = ", ".join(f"{name} {count}" for name, count in best.most_common())
            self._report.say(f"{len(inputs)} inputs, {best.total()} faces: {words or 'no answer'}")

    def show_over_time(self, predictor: Predictor, videos: Sequence[Input], every: float, batch_size: int) -> None:
        """The answers over the time of each video."""
        for video in videos:
            name = str(video.path)
            moments: list[Moment] = []
            try:
                with self._report.bar(
                    printable_name(video.name), predictor.expected_moments(video.path, every), "frame"
                ) as bar:
                    for moment in predictor.over_time(video.path, every, batch_size):
                        moments.append(moment)
                        bar.advance(1)
                        if self._as_json:
                            self._out.say(moment_to_json(name, moment, self._top))
                        if self._table:
                            self._table.add_moment(name, moment)
            except DataError as error:
                self._show_failure(Prediction(name, reason=str(error)))
                continue
            if not any(moment.answer for moment in moments):
                self._show_failure(Prediction(name, reason="no face found in any frame"))
                continue
            if not self._as_json:
                self._out.say(timeline_to_text(name, moments, self._top))
            if self._copies:
                self._copies.save_timeline(video, moments)

    def _show(self, each: Input, prediction: Prediction, few: bool) -> None:
        if not prediction.answers:
            self._show_failure(prediction)
            return
        if self._table:
            self._table.add_prediction(prediction)
        if self._copies and not (each.path.is_dir() or is_video(each.path.name)):
            self._copies.save_photo(each, prediction)
        if self._as_json:
            self._out.say(prediction_to_json(prediction, self._top))
        elif few:
            every_class = len(prediction.answers[0].clip)
            self._out.say(prediction_to_bars(prediction, self._compare, self._top or every_class))
        else:
            self._out.say(prediction_to_lines(prediction, self._compare, self._top or TOP))

    def _show_failure(self, prediction: Prediction) -> None:
        self.failed += 1
        self._report.say(f"{printable_name(prediction.path)}: {prediction.reason}")
        if self._as_json:
            self._out.say(prediction_to_json(prediction))
        if self._table:
            self._table.add_prediction(prediction)
