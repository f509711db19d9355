"""Cards such as a batch creates, with clips that play."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veo_async.batch.gallery import Card
from veo_async.simulator.clips import choose

#: The wall-clock time at which the batch began.
START = 1_785_000_000.0

PROMPTS = (
    "A red fox trots across fresh snow at dawn, breath steaming, shot low with a long lens; the pines behind it glow.",
    "Harbour at dusk: a small sailing boat returns while the lights come on, one after the other.",
    "Slow push-in on a watchmaker's hands. Dust in the light. No music.",
    "A city street after rain, seen from the top deck of a tram.",
    "ציפור כחולה על ענף, אור בוקר רך",
    "A fern unrolling against black velvet, macro, rim light from the left, very shallow focus.",
)
UNSUCCESSFUL = (
    ("refused", "Your prompt was flagged by the provider's content policy.",
     "Reword the prompt or change the image; refusals are partly random, so another seed may pass."),
    ("failed", "The provider failed to generate this video (code 501).",
     "Generate it again: failed tasks are not charged."),
    ("in_doubt", "", ""),
    ("running", "", ""),
    ("queued", "", ""),
)  # fmt: skip


def clip_into(folder: Path, name: str, *, aspect_ratio: str = "16:9", number: int = 0) -> str:
    """Write a playable video to *folder* and return its name."""
    (folder / name).write_bytes(choose(task_number=number, aspect_ratio=aspect_ratio).data)
    return name


def cards(count: int, *, folder: Path | None = None, seed: int = 1) -> Iterator[Card]:
    """Yield *count* realistic cards, every ninth without a clip. With a *folder*, playable clips are written there."""
    rng = random.Random(seed)
    for number in range(count):
        ratio = "9:16" if number % 5 == 3 else "16:9"
        sent_at = START + 0.5 * number
        finished_at = sent_at + 1.2 + rng.lognormvariate(4.3, 0.25)
        common: dict[str, Any] = {
            "key": f"job-{number:04}",
            "prompt": PROMPTS[number % len(PROMPTS)],
            "aspect_ratio": ratio,
        }
        common |= {"model": "veo3_fast" if number % 3 else "veo3"}
        if number % 9 != 4:
            name = f"job-{number:04}.mp4"
            if folder:
                clip_into(folder, name, aspect_ratio=ratio, number=number)
            yield Card(
                **common, state="saved", file=name, task_id=f"task{number:08x}", credits=60.0, duration_s=8.0,
                urls=(f"https://example.invalid/{number}.mp4",), submitted_at=START, sent_at=sent_at,
                accepted_at=sent_at + 1.2, finished_at=finished_at, saved_at=finished_at + 2.5,
            )  # fmt: skip
            continue
        state, reason, remedy = UNSUCCESSFUL[number // 9 % len(UNSUCCESSFUL)]
        yield Card(
            **common, state=state, reason=reason, remedy=remedy, submitted_at=START,
            sent_at=None if state == "queued" else sent_at,
            accepted_at=sent_at + 1.2 if state in ("failed", "running") else None,
            finished_at=sent_at + 31 if state in ("failed", "refused") else None,
        )  # fmt: skip
