"""Prices in credits (1 credit = $0.005), as reported by users in July and August 2026.

A shorter clip costs the same, as the provider documents.
"""

from veo_async._wire.models import MODELS, UPGRADE_CREDITS

HD_CREDITS = UPGRADE_CREDITS["1080p"]
FOUR_K_CREDITS = UPGRADE_CREDITS["4k"]

_VIDEO = {model.name: model.credits for model in MODELS}
_TIERS = {name: model.extend_name for model in MODELS for name in (model.name, model.extend_name) if name}
_EXTEND = {model.extend_name: model.extend_credits or 0.0 for model in MODELS}


def video_credits(model: str, resolution: str) -> float:
    """Return the price of one generation."""
    return _VIDEO[model][resolution]


def extend_credits(model: str) -> float:
    """Return the price of one extension."""
    return _EXTEND[model]


def extend_tier(model: str) -> str:
    """Return the tier of an extension whose source has *model*, a model or itself a tier."""
    return _TIERS.get(model) or "fast"
