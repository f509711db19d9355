"""Apikley: kie's documentation of late 2025 with another server (docs.apikley.ru, read 2026-11-21).

Only three endpoints are documented: generate, the record and the balance. Whether Apikley mirrors the others is not
known, so requests to them are refused: trying them could cost the user money. Use `variant` to enable them.
"""

import attrs

from veo_async._wire.models import DEFAULT_MODEL, MODELS, VideoModel

from .kie import KIE


def _as_documented(model: VideoModel) -> VideoModel:
    """Return *model* with what Apikley documents for it."""
    ratios = tuple(ratio for ratio in model.reference_ratios if ratio == "16:9")
    return attrs.evolve(model, resolutions=(), durations=(), reference_ratios=ratios, extend_name=None)


APIKLEY = KIE.variant(
    "apikley",
    base_url="https://api.apikley.ru",
    upload_url=None,
    key_page="https://app.apikley.ru/keys",
    endpoints=frozenset({"generate", "record-info", "credit"}),
    spelling={"aspect_ratio": "aspectRatio"},
    unknown_options=frozenset({"resolution", "duration"}),
    defaults={
        "model": DEFAULT_MODEL,
        "aspect_ratio": "16:9",
        "enable_translation": True,
        "enable_fallback": False,
    },
    models=tuple(_as_documented(model) for model in MODELS if "apikley" in model.providers),
)
