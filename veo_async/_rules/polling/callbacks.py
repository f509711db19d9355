"""Whether the provider's callbacks arrive, and so how many ends a poll has to find.

With callbacks a poll is a safety net, and costs more: at least `MIN_PRICE_WITH_CALLBACKS_S`. If callbacks were not
announced but are received, the minimum is lower, so that a lost one is found sooner than by polls alone.

The share of lost callbacks starts as 1 of 20 and is learned: a callback is lost if a poll found the task more than 10 s
after its end. Old observations fade as those of durations do, so a receiver that breaks is detected.
"""

from typing import Final, Literal

from .durations import DECAY

#: How the end of a task was detected.
EndSource = Literal["poll", "callback"]

MIN_PRICE_WITH_CALLBACKS_S: Final = 1.5
MIN_PRICE_CALLBACKS_SEEN_S: Final = 0.4
LOST_AFTER_S: Final = 10.0
#: With 10 % of callbacks lost, four in a row happen by accident once in ten thousand tasks.
MAX_MISSED_CALLBACKS: Final = 4


class CallbackShare:
    """Counts received and lost callbacks.

    Args:
        are_expected: whether there are callbacks. With None this is assumed as soon as one arrives, and until
            `MAX_MISSED_CALLBACKS` in a row were missed.
    """

    def __init__(self, are_expected: bool | None) -> None:
        #: Whether callbacks are expected at present.
        self.are_expected = bool(are_expected)
        self._is_detected = are_expected is None
        self._missed = 0
        self._lost, self._received = 1.0, 19.0

    @property
    def share_to_find(self) -> float:
        """The share of ends that a poll has to find."""
        return self._lost / (self._lost + self._received) if self.are_expected else 1.0

    @property
    def min_price_s(self) -> float:
        """The least price of a poll while callbacks are expected, in seconds of latency."""
        return MIN_PRICE_CALLBACKS_SEEN_S if self._is_detected else MIN_PRICE_WITH_CALLBACKS_S

    def task_ended(self, via: EndSource, late_s: float) -> bool:
        """Note that a task's end was detected *late_s* seconds after it; return whether the expectation has changed."""
        is_lost = via == "poll" and late_s > LOST_AFTER_S
        self._missed = 0 if via == "callback" else self._missed + is_lost
        is_changed = False
        if self._is_detected and (via == "callback" or self._missed >= MAX_MISSED_CALLBACKS):
            is_changed = self._expect(via == "callback")
        if self.are_expected and (is_lost or via == "callback"):
            self._lost = 1.0 + (self._lost - 1.0) * DECAY + is_lost
            self._received = 19.0 + (self._received - 19.0) * DECAY + (not is_lost)
        return is_changed

    def _expect(self, are_expected: bool) -> bool:
        """Note whether callbacks arrive; if that has changed, earlier observations of them no longer apply."""
        if self.are_expected == are_expected:
            return False
        self.are_expected, self._lost, self._received = are_expected, 1.0, 19.0
        return True
