"""The cards of a page for a client: the clips with their names and prompts, and nothing else.

The cards are built from what may be shown, not stripped of what may not. So a field that is added to `Card` later
is not on such a page until it is added here as well.
"""

from collections.abc import Iterable

from veo_async.types import JobState

from .cards import Card, beginning
from .formatting import readable


def to_client_cards(cards: Iterable[Card]) -> list[Card]:
    """Return the cards of the clips among *cards* that are saved, as a client may see them."""
    saved = [card for card in cards if card.file is not None]
    return [_to_client_card(card, number) for number, card in enumerate(saved, 1)]


def _to_client_card(card: Card, number: int) -> Card:
    name = beginning(card.prompt) if card.is_key_automatic else readable(card.key)
    return Card(
        key=name or f"Clip {number}",
        prompt=card.prompt,
        state=JobState.SAVED,
        file=card.file,
        aspect_ratio=card.aspect_ratio,
        width=card.width,
        height=card.height,
        duration_s=card.duration_s,
        poster=card.poster,
    )
