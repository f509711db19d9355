"""Draws flat shapes on a gradient in plain Python; an encoder stores them in few bytes.

Lengths are fractions of the shorter side, so that one scene fits both aspect ratios; ``(0, 0)`` is the upper left
corner. Edges are not smoothed here: ``render.py`` draws at a multiple of the size and scales down.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

Colour = tuple[int, int, int]
Point = tuple[float, float]

#: Positions of a moving object within one unit: the pixels of the smallest clips.
STEPS = 180

#: The characters of a badge: five rows each, one bit per dot.
_GLYPHS = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "8": (7, 5, 7, 5, 7),
    "4": (5, 5, 7, 1, 1),
    "K": (5, 5, 6, 5, 5),
    "P": (7, 5, 7, 4, 4),
}


@lru_cache(maxsize=32)
def _ramp(rows: int, stops: tuple[Colour, ...]) -> tuple[Colour, ...]:
    """Return one colour per row, from the first of *stops* to the last."""
    return tuple(_mixed(stops, row / max(rows - 1, 1)) for row in range(rows))


def _mixed(stops: tuple[Colour, ...], at: float) -> Colour:
    place = at * (len(stops) - 1)
    index = min(int(place), len(stops) - 2)
    part = place - index
    ends = zip(stops[index], stops[index + 1], strict=True)
    red, green, blue = (round(first + (last - first) * part) for first, last in ends)
    return red, green, blue


class Canvas:
    """An RGB image of three bytes per pixel, row by row."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self.width_px = width_px
        self.height_px = height_px
        #: The number of pixels in one unit of length.
        self.unit_px: int = min(width_px, height_px)
        self.pixels: bytearray = bytearray(3 * width_px * height_px)

    @property
    def width(self) -> float:
        """The width, in units."""
        return self.width_px / self.unit_px

    @property
    def height(self) -> float:
        """The height, in units."""
        return self.height_px / self.unit_px

    def snap(self, length: float) -> float:
        """Round *length* to `STEPS`: whole pixels in every size, so an encoder stores a motion as a shift."""
        return round(length * STEPS) / STEPS

    def gradient(self, top: float, bottom: float, *stops: Colour) -> None:
        """Fill the whole width from *top* to *bottom*."""
        first, last = self._rows(top, bottom)
        for row, colour in enumerate(_ramp(last - first, stops), start=first):
            self._span(row, 0, self.width_px, colour)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill the polygon *points*, with the even-odd rule where its outline crosses itself."""
        scaled = [(x * self.unit_px, y * self.unit_px) for x, y in points]
        ys = [y for _, y in points]
        first, last = self._rows(min(ys), max(ys))
        for row in range(first, last):
            crossings = sorted(_crossings(scaled, row + 0.5))
            for left, right in zip(crossings[::2], crossings[1::2], strict=True):
                self._span(row, round(left), round(right), colour)

    def rectangle(self, left: float, top: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle."""
        first, last = self._rows(top, top + height)
        for row in range(first, last):
            self._span(row, round(left * self.unit_px), round((left + width) * self.unit_px), colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        turns = [math.tau * step / 72 for step in range(72)]
        self.polygon([(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns], colour)

    def badge(self, text: str, dot: float, colour: Colour) -> None:
        """Draw *text* in the upper left corner, in dots of size *dot*."""
        for index, character in enumerate(text):
            for row, bits in enumerate(_GLYPHS[character]):
                for column in (column for column in range(3) if bits >> (2 - column) & 1):
                    self.rectangle(dot * (3 + 4 * index + column), dot * (3 + row), dot, dot, colour)

    def _rows(self, top: float, bottom: float) -> tuple[int, int]:
        first, last = round(top * self.unit_px), round(bottom * self.unit_px)
        return max(first, 0), min(last, self.height_px)

    def _span(self, row: int, left: int, right: int, colour: Colour) -> None:
        left, right = max(left, 0), min(right, self.width_px)
        if left < right:
            start = 3 * row * self.width_px
            self.pixels[start + 3 * left : start + 3 * right] = bytes(colour) * (right - left)


def _crossings(points: Sequence[Point], y: float) -> Iterator[float]:
    """Return the x of each point where the outline of *points* crosses the line at *y*; their number is even."""
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        if (ay <= y) != (by <= y):
            yield ax + (y - ay) * (bx - ax) / (by - ay)
