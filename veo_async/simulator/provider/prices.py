"""Prices in credits (1 credit = $0.005), as reported by users in July and August 2026.

The reported prices are for clips of eight seconds. There are no reports of lower prices for shorter clips, so a shorter
clip costs the same here.
"""

HD_CREDITS = 5.0
FOUR_K_CREDITS = 120.0

_VIDEO: dict[str, dict[str, float]] = {
    "veo3_lite": {"720p": 30.0, "1080p": 35.0, "4k": 150.0},
    "veo3_fast": {"720p": 60.0, "1080p": 65.0, "4k": 180.0},
    "veo3": {"720p": 250.0, "1080p": 255.0, "4k": 370.0},
}
_EXTEND: dict[str, float] = {"lite": 30.0, "fast": 60.0, "quality": 250.0}


def video_credits(model: str, resolution: str) -> float:
    """Return the price of one generation."""
    return _VIDEO[model][resolution]


def extend_credits(model: str) -> float:
    """Return the price of one extension."""
    return _EXTEND[model]
