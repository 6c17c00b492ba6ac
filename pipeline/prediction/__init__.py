"""The expression in one's own photos, folders and videos."""

from pipeline.prediction.predictor import Predictor

__all__ = ["Predictor"]
