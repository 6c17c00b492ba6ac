"""Exp-CLIP from cached features: frozen encoders run once, everything after them works on tensors."""

__version__ = "0.1.0"
