"""Score one test set with plain CLIP and every head: python stages/score.py NAME."""

import sys

from expclip_cache.base import handle_errors, recorded_time
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import read_head
from expclip_cache.prompts import prompt_table
from expclip_cache.scoring import (
    class_percentages,
    embeddings_by_text,
    predict_dataset,
    prediction_changes,
    write_score_files,
)
from expclip_cache.settings import head_file, image_features, load_settings, prompt_features, score_results


def main(dataset: str) -> None:
    """Write results/score/DATASET."""
    settings = load_settings()
    images = FeatureCache(image_features(settings.clip.name, dataset))
    embeddings = embeddings_by_text(FeatureCache(prompt_features(settings.clip.name)))
    prompts = prompt_table(settings.prompts.set, settings.prompts.types, images.classes)
    aggregation = settings.prompts.aggregation
    heads = {name: read_head(head_file(name)) for names in settings.train.heads.values() for name in names}
    predictions = predict_dataset(images, embeddings, prompts, heads, aggregation)
    highest_type = max(predictions.clip)
    shown = [prompt for prompt in prompts if prompt.type == highest_type]
    first_head = next(iter(heads.values()))
    clip = class_percentages(images, embeddings, shown, None, aggregation)
    expclip = class_percentages(images, embeddings, shown, first_head, aggregation)
    changes = prediction_changes(predictions.truth, clip, expclip, images.paths(predictions.rows))
    out = score_results(dataset)
    write_score_files(out, dataset, predictions, settings.train.heads, images.describe(), changes)


if __name__ == "__main__":
    with handle_errors(), recorded_time(f"score@{sys.argv[1]}"):
        main(sys.argv[1])
