"""The frozen encoders: CLIP's two towers and the T5 encoder states of BLIP-2."""
