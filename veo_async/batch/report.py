"""What a run leaves for people to look through: a card for each row, the gallery and the contact sheets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from veo_async.errors import ResultsWriteError
from veo_async.types import Done, Job, Outcome

from .contact_sheet import MediaExtraMissing, Tile, write_sheets
from .gallery import Card, write_gallery
from .results import remedy_of, translate_os_errors
from .rows import Row


def write_report(folder: Path, cards: Sequence[Card]) -> tuple[Path, list[Path], bool]:
    """Write the gallery and the contact sheets; return their paths and whether the extra for the sheets is missing.

    Raises:
        ResultsWriteError: the folder is full or not writable.
    """
    with translate_os_errors(folder, ResultsWriteError):
        page = write_gallery(folder, cards, title=folder.name)
        tiles = [Tile(key=Path(card.file).stem, video=folder / card.file) for card in cards if card.file]
        try:
            return page, write_sheets(folder, tiles), False
        except MediaExtraMissing:
            return page, [], True


def new_card(row: Row, job: Job, price: float | None, *, submitted_at: float) -> Card:
    """Return the card of a row that has just been submitted."""
    request = row.request
    return Card(
        key=row.key,
        prompt=request.prompt,
        model=request.model,
        aspect_ratio=request.aspect_ratio if ":" in request.aspect_ratio else "16:9",
        state=job.state,
        credits=price,
        submitted_at=submitted_at,
    )


def earlier_card(cells: Mapping[str, str], job: Job, out: Path, now: float) -> Card:
    """Return the card of a row of an earlier run, from its line in ``results.csv`` and its job."""
    request = job.outcome.clip.request if isinstance(job.outcome, Done) else None
    card = Card(
        key=job.key,
        prompt=cells.get("prompt") or str(getattr(request, "prompt", "")),
        model=cells.get("model") or str(getattr(request, "model", "")),
        aspect_ratio=aspect if ":" in (aspect := getattr(request, "aspect_ratio", "")) else "16:9",
        state=job.state,
        credits=job.credits,
    )
    return card if job.outcome is None else finished_card(card, job, job.outcome, out, now, job.credits)


def finished_card(card: Card, job: Job, outcome: Outcome, out: Path, now: float, credits: float | None) -> Card:
    """Return *card* updated with the outcome of its finished job, and what the row has cost."""
    card = attrs.evolve(
        card,
        credits=credits,
        state=job.state,
        task_id=job.task_id,
        sent_at=job.sent_at.timestamp() if job.sent_at else None,
        finished_at=now,
    )
    if not isinstance(outcome, Done):
        remedy, detail, log_url = remedy_of(outcome), outcome.detail, outcome.log_url
        return attrs.evolve(card, reason=outcome.reason, remedy=remedy, detail=detail, log_url=log_url)
    clip = outcome.clip
    inside = [file for file in clip.files if file.is_relative_to(out.absolute())]
    return attrs.evolve(
        card,
        file=inside[0].relative_to(out.absolute()) if inside else None,
        urls=clip.urls,
        duration_s=float(getattr(clip.request, "duration", None) or 8),
        accepted_at=clip.created_at.timestamp() if clip.created_at else None,
        finished_at=clip.completed_at.timestamp() if clip.completed_at else now,
        saved_at=now if clip.files else None,
    )
