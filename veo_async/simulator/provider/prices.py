"""What a call costs, in credits (1 credit = $0.005), as collected by users in July and August 2026.

The list is per clip of eight seconds. Nobody wrote down that shorter ones are cheaper, so here they are not.
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
    """The price of one generation."""
    return _VIDEO[model][resolution]


def extend_credits(model: str) -> float:
    """The price of one extension."""
    return _EXTEND[model]
