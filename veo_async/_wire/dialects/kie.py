"""kie.ai, as documented in August 2026 (docs.kie.ai, read 2026-11-21)."""

from veo_async._wire.endpoints import ENDPOINTS
from veo_async._wire.models import DEFAULT_MODEL, MODELS

from .dialect import Dialect

KIE = Dialect(
    name="kie",
    base_url="https://api.kie.ai",
    upload_url="https://kieai.redpandaai.co",
    key_page="https://kie.ai/api-key",
    # It has no address for a single task.
    log_page="https://kie.ai/logs",
    endpoints=frozenset(endpoint.name for endpoint in ENDPOINTS),
    # The schema says that translation is off by default, the prose says on. We always send it.
    defaults={
        "model": DEFAULT_MODEL,
        "aspect_ratio": "16:9",
        "enable_translation": True,
        "enable_fallback": False,
        "resolution": "720p",
        "duration": 8,
    },
    models=tuple(model for model in MODELS if "kie" in model.providers),
)
