"""A tiny X-CLIP of transformers' own class, with random weights, in a folder as its makers publish one."""

from pathlib import Path

from transformers import XCLIPConfig, XCLIPModel

from expclip_cache.encoders.settings import ClipSettings
from tiny_backbones import TEXT, VISION, write_model
from tiny_encoders import SIZE

FRAMES, D = 4, 16

PREPROCESSOR = {
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "VideoMAEFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "processor_class": "XCLIPProcessor",
    "resample": 2,
    "size": SIZE,
}
"""That of microsoft/xclip-base-patch32, with another size. It has no crop_size."""


def x_clip_config() -> XCLIPConfig:
    """Four frames of 16 patches."""
    return XCLIPConfig(
        text_config=TEXT,
        vision_config={
            **VISION,
            "mit_hidden_size": D,
            "mit_intermediate_size": 32,
            "mit_num_hidden_layers": 1,
            "mit_num_attention_heads": 2,
            "num_frames": FRAMES,
        },
        projection_dim=D,
        prompt_layers=2,
        # Large enough for a clip to change which class a text stands for.
        prompt_alpha=0.8,
        prompt_num_attention_heads=4,
    )


def write_x_clip(folder: Path) -> ClipSettings:
    """The folder of a tiny X-CLIP."""
    return write_model(folder, "x-clip", XCLIPModel, x_clip_config(), PREPROCESSOR)
