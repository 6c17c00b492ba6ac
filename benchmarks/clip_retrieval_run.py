"""Runs in clip-retrieval's own environment, see `benchmarks.peer_clip_retrieval`: its inference, with random weights.

python clip_retrieval_run.py PHOTOS OUT BATCH WORKERS PARTITIONS. Its own loader would fetch pretrained weights; here
open_clip builds the same ViT-B/32 as for us. All else is clip-retrieval's.
"""

import sys

import all_clip.main
import open_clip
from clip_retrieval.clip_inference.main import main


def random_vit(model: str, use_jit: bool, device: str, cache_path: str | None):
    """(model, preprocessing, tokenizer) as all_clip's loaders give them."""
    vit, _, preprocess = open_clip.create_model_and_transforms(model, pretrained=None, device=device)
    return vit.eval(), preprocess, open_clip.get_tokenizer(model)


all_clip.main._CLIP_REGISTRY.clear()
all_clip.main._CLIP_REGISTRY[""] = random_vit
# Four batches through both towers before the first photo: left out in the peer's favour.
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
