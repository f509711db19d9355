"""What a run leaves for people to look through: a card for each row, the gallery and the contact sheets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from veo_async.errors import ResultsWriteError
from veo_async.media.names import is_automatic_key
from veo_async.types import Done, Job, OnHold, Outcome

from .contact_sheet import MediaExtraMissing, Tile, write_sheets
from .gallery import CLIENT_NAME, Card, add_posters, write_gallery
from .results import remedy_of, translate_os_errors
from .rows import Row


@attrs.frozen(kw_only=True)
class ReportFiles:
    """The files of a report."""

    #: The gallery, and the one for a client if there is one.
    pages: list[Path]
    sheets: list[Path]
    #: Whether the contact sheet is missing because its extra is not installed.
    sheet_extra_missing: bool


def write_report(folder: Path, cards: Sequence[Card], *, title: str, for_client: bool = False) -> ReportFiles:
    """Write the gallery and the contact sheets.

    A gallery for a client that an earlier run has written is written again, so that it is never out of date.

    Raises:
        ResultsWriteError: the folder is full or not writable.
    """
    with translate_os_errors(folder, ResultsWriteError):
        cards = add_posters(folder, cards)
        pages = [write_gallery(folder, cards, title=title)]
        if for_client or (folder / CLIENT_NAME).exists():
            pages.append(write_gallery(folder, cards, title=title, for_client=True))
        tiles = [Tile(key=Path(card.file).stem, video=folder / card.file) for card in cards if card.file]
        try:
            return ReportFiles(pages=pages, sheets=write_sheets(folder, tiles), sheet_extra_missing=False)
        except MediaExtraMissing:
            return ReportFiles(pages=pages, sheets=[], sheet_extra_missing=True)


def new_card(row: Row, job: Job, price: float | None, *, submitted_at: float) -> Card:
    """Return the card of a row that has just been submitted."""
    request = row.request
    return Card(
        key=row.key,
        is_key_automatic=is_automatic_key(row.key),
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
        is_key_automatic=is_automatic_key(job.key),
        prompt=cells.get("prompt") or str(getattr(request, "prompt", "")),
        model=cells.get("model") or str(getattr(request, "model", "")),
        aspect_ratio=aspect if ":" in (aspect := getattr(request, "aspect_ratio", "")) else "16:9",
        state=job.state,
        credits=job.credits,
        credits_consumed=None if job.was_not_charged else job.credits_consumed,
    )
    return card if job.outcome is None else finished_card(card, job, job.outcome, out, now)


def finished_card(card: Card, job: Job, outcome: Outcome, out: Path, now: float) -> Card:
    """Return *card* updated with the outcome of its finished job."""
    card = attrs.evolve(
        card,
        state="on_hold" if isinstance(outcome, OnHold) else job.state,
        task_id=job.task_id,
        sent_at=job.sent_at.timestamp() if job.sent_at else None,
        finished_at=None if isinstance(outcome, OnHold) else now,
    )
    if not isinstance(outcome, Done):
        remedy, detail, log_url = remedy_of(outcome), outcome.detail, outcome.log_url
        return attrs.evolve(card, reason=outcome.reason, remedy=remedy, detail=detail, log_url=log_url)
    clip = outcome.clip
    inside = [number for number, file in enumerate(clip.files) if file.is_relative_to(out.absolute())]
    size = clip.sizes[inside[0]] if inside and len(clip.sizes) > inside[0] else None
    return attrs.evolve(
        card,
        file=clip.files[inside[0]].relative_to(out.absolute()) if inside else None,
        width=size[0] if size else None,
        height=size[1] if size else None,
        seeds=clip.record.seeds,
        urls=clip.urls,
        duration_s=float(getattr(clip.request, "duration", None) or 8),
        accepted_at=clip.created_at.timestamp() if clip.created_at else None,
        finished_at=clip.completed_at.timestamp() if clip.completed_at else now,
        saved_at=now if clip.files else None,
    )
