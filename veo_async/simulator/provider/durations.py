"""How long tasks take: log-normal, with a median and a sigma per kind of task.

For ``veo3`` and ``veo3_fast`` the middle 80 % lie at 120-301 s and 54-118 s. This fits the documented "2-5 minutes" and
the createTime and completeTime of records that users published. The other values follow the documentation alone:
1-2 minutes for 1080p, 5-10 for 4K, "several to over ten" for an extension.
"""

from collections.abc import Mapping
from math import log
from random import Random

from veo_async._wire import MODELS

DEFAULTS: Mapping[str, tuple[float, float]] = {
    **{model.name: (model.simulated.median_s, model.simulated.sigma) for model in MODELS},
    "extend": (240.0, 0.35),
    "1080p": (85.0, 0.25),
    "4k": (420.0, 0.2),
}
#: How much longer a generation takes when it is requested in a higher resolution.
_BY_RESOLUTION = {"720p": 1.0, "1080p": 1.4, "4k": 3.0}


def draw_duration(
    kind: str, rng: Random, overrides: Mapping[str, tuple[float, float]], *, resolution: str = "720p"
) -> float:
    """Draw how long one task of *kind* takes, in simulated seconds."""
    median_s, sigma = overrides.get(kind) or DEFAULTS[kind]
    return rng.lognormvariate(log(median_s), sigma) * _BY_RESOLUTION.get(resolution, 1.0)
