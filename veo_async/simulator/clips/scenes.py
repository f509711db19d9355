"""The scenes of the clips. Each is a function of the canvas, the time and the duration of the clip.

They are designed for small files: large still areas, few moving objects, no noise.
"""

import math
import random
from collections.abc import Callable

from .canvas import Canvas, Colour

#: Draws one frame on the canvas; the numbers are the seconds since the start and the duration of the clip.
Scene = Callable[[Canvas, float, float], None]


def dusk(canvas: Canvas, at_s: float, length_s: float) -> None:
    """Draw the sun setting over the sea while a boat sails past."""
    at_s = int(4 * at_s) / 4  # four positions per second are enough for a slow scene; identical frames need few bytes
    shore = canvas.snap(0.62 * canvas.height)
    sun_x, sun_y = canvas.snap(0.62 * canvas.width), canvas.snap(shore - 0.20 + 0.13 * at_s / length_s)
    canvas.gradient(0, shore, (44, 36, 92), (126, 64, 122), (226, 108, 104), (252, 176, 108))
    canvas.disc(sun_x, sun_y, 0.19, (250, 156, 104))
    canvas.disc(sun_x, sun_y, 0.15, (255, 226, 150))
    canvas.gradient(shore, canvas.height, (206, 104, 112), (84, 56, 116), (38, 36, 84))
    _glitter(canvas, sun_x, shore, at_s)
    _boat(canvas, canvas.snap(0.2 + 4 * at_s / 180), canvas.snap(shore + 0.035))
    _wave(canvas, canvas.height - 0.10, canvas.snap(4 * at_s / 180), (34, 30, 74))


def _glitter(canvas: Canvas, x: float, shore: float, at_s: float) -> None:
    """Draw strips of light under the sun that grow and shrink with the waves."""
    for strip in range(4):
        reach = canvas.snap(0.16 - 0.025 * strip + 0.02 * math.sin(1.6 * int(at_s) + 2.1 * strip))
        canvas.rectangle(x - reach, shore + 0.02 + 0.042 * strip, 2 * reach, 0.012, (255, 196, 132))


def _boat(canvas: Canvas, x: float, y: float) -> None:
    canvas.polygon([(x - 0.07, y), (x + 0.08, y), (x + 0.05, y + 0.03), (x - 0.05, y + 0.03)], (40, 26, 58))
    canvas.polygon([(x, y - 0.16), (x + 0.065, y - 0.012), (x, y - 0.012)], (255, 232, 204))
    canvas.polygon([(x - 0.008, y - 0.13), (x - 0.008, y - 0.012), (x - 0.05, y - 0.012)], (232, 190, 176))


def _wave(canvas: Canvas, y: float, shift: float, colour: Colour) -> None:
    steps = [canvas.width * step / 60 for step in range(61)]
    crest = [(x, y + 0.018 * math.sin(7 * (x - shift))) for x in steps]
    canvas.polygon([*crest, (canvas.width, canvas.height + 0.1), (0, canvas.height + 0.1)], colour)


def night(canvas: Canvas, at_s: float, length_s: float) -> None:
    """Draw the moon rising above the hills, a falling star, and a house with a lit window."""
    canvas.gradient(0, canvas.height, (10, 14, 44), (24, 38, 88), (64, 84, 140))
    _stars(canvas, at_s)
    _falling_star(canvas, at_s / length_s)
    moon_x = canvas.snap(canvas.width * (0.24 + 0.08 * at_s / length_s))
    moon_y = canvas.snap(canvas.height * 0.38 - 0.10 * at_s / length_s)
    canvas.disc(moon_x, moon_y, 0.115, (244, 238, 212))
    for x, y, radius in ((-0.035, -0.03, 0.026), (0.04, 0.015, 0.034), (-0.03, 0.055, 0.018)):
        canvas.disc(moon_x + x, moon_y + y, radius, (220, 212, 188))
    _hills(canvas, 0.30, 2.6, 0.4, (34, 50, 92))
    _hills(canvas, 0.17, 3.7, 2.2, (16, 24, 52))
    _house(canvas, 0.74 * canvas.width, canvas.height - 0.13)


def _stars(canvas: Canvas, at_s: float) -> None:
    """Draw fixed stars; every ninth disappears for one second in four."""
    rng = random.Random(1609)
    for number in range(40):
        x, y = rng.random() * canvas.width, rng.random() * 0.6 * canvas.height
        if number % 9 or int(at_s + number) % 4:
            canvas.rectangle(x, y, 0.011, 0.011, (206, 214, 240))


def _falling_star(canvas: Canvas, progress: float) -> None:
    flight = (progress - 0.4) / 0.15
    if 0 <= flight <= 1:
        x, y = canvas.width * (0.92 - 0.28 * flight), canvas.height * 0.10 + 0.16 * flight
        canvas.polygon([(x, y), (x + 0.17, y - 0.062), (x + 0.004, y + 0.012)], (236, 240, 255))


def _hills(canvas: Canvas, rise: float, pace: float, shift: float, colour: Colour) -> None:
    steps = [canvas.width * step / 90 for step in range(91)]
    ridge = [(x, canvas.height - rise - 0.07 * math.sin(pace * x + shift)) for x in steps]
    canvas.polygon([*ridge, (canvas.width, canvas.height), (0, canvas.height)], colour)


def _house(canvas: Canvas, x: float, y: float) -> None:
    canvas.rectangle(x, y - 0.09, 0.15, 0.13, (8, 12, 30))
    canvas.polygon([(x - 0.02, y - 0.085), (x + 0.075, y - 0.17), (x + 0.17, y - 0.085)], (8, 12, 30))
    canvas.rectangle(x + 0.05, y - 0.05, 0.042, 0.042, (255, 206, 110))


def city(canvas: Canvas, at_s: float, length_s: float) -> None:
    """Draw an evening in a town: windows light up, and a train crosses the bridge."""
    canvas.gradient(0, canvas.height, (34, 74, 104), (98, 140, 150), (244, 196, 150))
    canvas.disc(0.78 * canvas.width, 0.30 * canvas.height, 0.10, (255, 232, 190))
    _houses(canvas, 11, 0.20, (84, 108, 128), None, 0)
    _houses(canvas, 5, 0.04, (36, 46, 72), (255, 208, 120), at_s / length_s)
    deck = canvas.height - 0.15
    _train(canvas, canvas.snap(canvas.width * (1.6 * at_s / length_s - 0.1)), deck)
    canvas.rectangle(0, deck, canvas.width, 0.028, (20, 24, 40))
    canvas.rectangle(0, deck + 0.028, canvas.width, 0.2, (28, 36, 58))
    for pier in range(12):
        canvas.rectangle(0.28 * pier + 0.10, deck + 0.02, 0.035, 0.2, (20, 24, 40))


def _houses(
    canvas: Canvas,
    seed: int,
    lift: float,
    colour: Colour,
    lamp: Colour | None,
    progress: float,
) -> None:
    """Draw a row of houses. With a *lamp*, more windows are lit as *progress* increases from 0 to 1."""
    rng = random.Random(seed)
    x = -0.03
    while x < canvas.width:
        width, height = 0.035 * rng.randint(4, 6), 0.06 * rng.randint(5, 9)
        top = canvas.height - 0.15 - lift - height
        canvas.rectangle(x, top, width, canvas.height - top, colour)
        for floor in range(5):
            for window in range(int(width / 0.06)):
                if rng.random() < 0.2 + 0.25 * progress and lamp:
                    left, sill = x + 0.022 + 0.055 * window, top + 0.03 + 0.06 * floor
                    canvas.rectangle(left, sill, 0.022, 0.028, lamp)
        x += width + 0.012 * rng.randint(0, 2)


def _train(canvas: Canvas, head: float, deck: float) -> None:
    for coach in range(3):
        left = head - 0.33 * (coach + 1)
        canvas.rectangle(left, deck - 0.085, 0.32, 0.085, (196, 70, 66))
        for window in range(4):
            canvas.rectangle(left + 0.03 + 0.07 * window, deck - 0.066, 0.048, 0.034, (255, 236, 184))


SCENES: dict[str, Scene] = {"dusk": dusk, "night": night, "city": city}
