"""Apikley: kie's page of late 2025 with the server replaced (docs.apikley.ru, read 2026-11-21).

Three of its pages are known: generate, the record and the balance. Whether it mirrors the rest is not known, so
the rest is refused here rather than tried with a user's money; make a `variant` to try it on purpose.
"""

from .kie import KIE

APIKLEY = KIE.variant(
    "apikley",
    base_url="https://api.apikley.ru",
    upload_url=None,
    key_page="https://app.apikley.ru/keys",
    endpoints=frozenset({"generate", "record-info", "credit"}),
    spelling={"aspect_ratio": "aspectRatio"},
    unknown_options=frozenset({"resolution", "duration"}),
    defaults={
        "model": "veo3_fast",
        "aspect_ratio": "16:9",
        "enable_translation": True,
        "enable_fallback": False,
    },
    models=("veo3", "veo3_fast"),
    resolutions=(),
    durations=(),
    reference_models=("veo3_fast",),
    reference_ratios=("16:9",),
    extend_models=(),
)
