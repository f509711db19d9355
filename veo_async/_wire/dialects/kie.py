"""kie.ai as of its pages of August 2026 (docs.kie.ai, read 2026-11-21)."""

from veo_async._wire.endpoints import ENDPOINTS

from .dialect import Dialect

KIE = Dialect(
    name="kie",
    base_url="https://api.kie.ai",
    upload_url="https://kieai.redpandaai.co",
    key_page="https://kie.ai/api-key",
    endpoints=frozenset(endpoint.name for endpoint in ENDPOINTS),
    # Its schema says that translation is off by default, its prose that it is on; we send it either way.
    defaults={
        "model": "veo3_fast",
        "aspect_ratio": "16:9",
        "enable_translation": True,
        "enable_fallback": False,
        "resolution": "720p",
        "duration": 8,
    },
    models=("veo3", "veo3_fast", "veo3_lite"),
    aspect_ratios=("16:9", "9:16", "Auto"),
    resolutions=("720p", "1080p", "4k"),
    durations=(4, 6, 8),
    # Its older pages allow reference images with veo3_fast and 16:9 alone; the newest allow these.
    reference_models=("veo3_fast", "veo3_lite"),
    reference_ratios=("16:9", "9:16"),
    reference_durations=(8,),
    extend_models=("fast", "quality", "lite"),
)
