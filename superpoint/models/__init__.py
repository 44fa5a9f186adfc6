"""Segmentation networks, looked up by name; PyTorch is imported when one is built."""

from superpoint.models.build import MODELS, build_model, require_train_extra

__all__ = ["MODELS", "build_model", "require_train_extra"]
