"""clip-retrieval's inference with random weights, run in its own environment by `benchmarks.peer_clip_retrieval`.

python clip_retrieval_run.py PHOTOS OUT BATCH WORKERS PARTITIONS. Its own loader would download pretrained weights;
here open_clip builds the same ViT-B/32 that we use. Everything else is clip-retrieval's.
"""

import sys

# Packages of the other environment.
import all_clip.main  # pyright: ignore[reportMissingImports]
import open_clip
from clip_retrieval.clip_inference.main import main  # pyright: ignore[reportMissingImports]


def random_vit(model: str, use_jit: bool, device: str, cache_path: str | None):
    """(model, preprocessing, tokenizer), as all_clip's loaders return them."""
    vit, _, preprocess = open_clip.create_model_and_transforms(model, pretrained=None, device=device)
    return vit.eval(), preprocess, open_clip.get_tokenizer(model)


all_clip.main._CLIP_REGISTRY.clear()
all_clip.main._CLIP_REGISTRY[""] = random_vit
# The warm-up runs four batches through both towers before the first photo. It is left out in clip-retrieval's favour.
all_clip.main.warmup = lambda *_: None

if __name__ == "__main__":
    photos, out, batch, workers, partitions = sys.argv[1:]
    main(
        photos,
        out,
        batch_size=int(batch),
        num_prepro_workers=int(workers),
        output_partition_count=int(partitions),
        enable_text=False,
        clip_model="ViT-B-32-quickgelu",
    )
