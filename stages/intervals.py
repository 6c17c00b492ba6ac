"""How far the scores can be trusted, from every prediction: python stages/intervals.py."""

from expclip_cache.base import Reporter, handle_errors, recorded_time
from expclip_cache.scoring import PredictionFile
from expclip_cache.settings import STATISTICS, answer_prediction_file, load_settings, prediction_file
from expclip_cache.statistics import (
    read_answers,
    study_calibration,
    study_statistics,
    write_calibration,
    write_statistics,
)


def main(report: Reporter) -> None:
    """Write results/statistics."""
    settings = load_settings()
    test_sets = {name: settings.datasets[name] for name in settings.score.datasets}
    files = {
        name: {backbone: PredictionFile(prediction_file(backbone, name)) for backbone in settings.backbones}
        for name in test_sets
    }
    answers = {
        name: read_answers(of_backbone, (PredictionFile(answer_prediction_file(llm, name)) for llm in settings.answers))
        for name, of_backbone in files.items()
    }
    write_statistics(study_statistics(answers, test_sets, settings.statistics, report), STATISTICS)
    write_calibration(study_calibration(files), STATISTICS)


if __name__ == "__main__":
    with handle_errors(), recorded_time("intervals") as report:
        main(report)
