"""Renders all clips and the poster into the folder of this file.

    pip install -e '.[clips]'
    python -m veo_async.simulator.clips.render

The result is reproducible: it depends on no random number and no clock, one thread encodes, and neither the encoder's
banner nor a date is stored. PyAV 15, 16, 17 and 18 rendered the same videos byte for byte; the poster differed before
17. Another encoder may give other bytes, so commit the files only if a scene has changed.
"""

import math
from array import array
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av  # pyright: ignore[reportMissingImports]  # an extra
from av.bitstream import BitStreamFilterContext  # pyright: ignore[reportMissingImports]  # an extra
from av.codec.context import Flags  # pyright: ignore[reportMissingImports]  # an extra

from . import CLIPS, POSTER, Clip
from .canvas import Canvas
from .scenes import SCENES, dusk

FPS = 8
#: Frames are drawn this many times larger and scaled down, which smooths the edges.
OVERSAMPLING = 2
AUDIO_HZ = 8_000
AUDIO_FRAME = 1024
AUDIO_BITS_PER_S = 1_000

VIDEO_OPTIONS = {
    "preset": "veryslow",
    # A constant quality, better for the first frame: a still area is then stored once. Rate control (crf) needs a
    # quarter more bytes because it keeps improving such areas.
    "qp": "38",
    # One reference and no B frames: at this bit rate, encoding the choice costs more than it saves.
    "x264-params": "ipratio=2:ref=1:bframes=0:weightp=0:keyint=1000:scenecut=0:aq-mode=0:no-psy=1:"
    "colorprim=bt709:transfer=bt709:colormatrix=bt709",
}
#: The index at the front, no date or muxer version, and long chunks, because each chunk is an entry in the index.
FILE_OPTIONS = {"movflags": "+faststart", "fflags": "+bitexact", "chunk_duration": "16000000"}
HERE = Path(__file__).parent


def main() -> None:
    """Write all files and print their sizes."""
    for clip in CLIPS:
        render(clip, HERE / clip.name)
    render_poster(HERE / POSTER.name)
    sizes = {asset.name: (HERE / asset.name).stat().st_size for asset in (*CLIPS, POSTER)}
    lines = [f"{size:7,d}  {name}" for name, size in {**sizes, "all together": sum(sizes.values())}.items()]
    print("\n".join(lines))  # noqa: T201  # a script for the terminal


def render(clip: Clip, target: Path) -> None:
    """Encode one clip."""
    with av.open(str(target), "w", format="mp4", options=FILE_OPTIONS) as file:
        video = file.add_stream("libx264", rate=FPS, options=VIDEO_OPTIONS)
        video.width, video.height, video.pix_fmt = clip.width_px, clip.height_px, "yuv420p"
        video.codec_context.thread_count = 1
        audio = file.add_stream("aac", rate=AUDIO_HZ, layout="mono")
        audio.bit_rate = AUDIO_BITS_PER_S
        audio.codec_context.flags |= Flags.bitexact
        file.start_encoding()
        # x264 writes its settings into a message of some 700 bytes (SEI, type 6) that no player reads.
        without_banner = BitStreamFilterContext("filter_units=remove_types=6", video, video)
        packets: list[Any] = [
            kept for packet in encode(video, video_frames(clip)) for kept in without_banner.filter(packet)
        ]
        packets += encode(audio, audio_frames(clip.duration_s))
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            file.mux(packet)


def render_poster(target: Path) -> None:
    """Encode a frame of the scene "dusk" as JPEG."""
    with av.open(str(target), "w", format="mjpeg", options={"fflags": "+bitexact"}) as file:
        still = file.add_stream("mjpeg", rate=1, options={"qmin": "9", "qmax": "9"})
        still.width, still.height, still.pix_fmt = 256, 144, "yuvj420p"
        still.codec_context.flags |= Flags.bitexact
        canvas = Canvas(512, 288)
        dusk(canvas, 2.0, 8.0)
        for packet in encode(still, [as_frame(canvas, 256, 144, "yuvj420p")]):
            file.mux(packet)


def encode(stream: Any, frames: Iterable[Any]) -> Iterator[Any]:
    """Return the packets of all *frames*, including those that the encoder has buffered."""
    for frame in (*frames, None):
        yield from stream.encode(frame)


def video_frames(clip: Clip) -> Iterator[Any]:
    """Return the frames of *clip* in order."""
    for number in range(clip.duration_s * FPS):
        canvas = Canvas(clip.width_px * OVERSAMPLING, clip.height_px * OVERSAMPLING)
        SCENES[clip.scene](canvas, number / FPS, float(clip.duration_s))
        if clip.kind in ("1080p", "4k"):
            canvas.badge(clip.kind.upper(), 0.011, (255, 255, 255))
        frame = as_frame(canvas, clip.width_px, clip.height_px, "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        yield frame


def as_frame(canvas: Canvas, width_px: int, height_px: int, pixel_format: str) -> Any:
    """Return the canvas scaled down, in the colour space that the encoder needs."""
    frame = av.VideoFrame(canvas.width_px, canvas.height_px, "rgb24")
    plane, row = frame.planes[0], 3 * canvas.width_px
    padding = bytes(plane.line_size - row)
    plane.update(b"".join(canvas.pixels[at : at + row] + padding for at in range(0, len(canvas.pixels), row)))
    colours = "ITU601" if pixel_format == "yuvj420p" else "ITU709"
    return frame.reformat(width_px, height_px, pixel_format, dst_colorspace=colours, interpolation="AREA")


def audio_frames(duration_s: int) -> Iterator[Any]:
    """Return a short, soft chime followed by silence."""
    total = duration_s * AUDIO_HZ
    for start in range(0, total, AUDIO_FRAME):
        samples = array("f", (chime(at / AUDIO_HZ) for at in range(start, min(start + AUDIO_FRAME, total))))
        frame = av.AudioFrame(format="fltp", layout="mono", samples=len(samples))
        frame.planes[0].update(samples.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_HZ, start, Fraction(1, AUDIO_HZ)
        yield frame


def chime(at_s: float) -> float:
    """Return the sample at *at_s*, between -0.1 and 0.1."""
    if at_s >= 0.4:
        return 0.0
    return 0.1 * min(at_s / 0.02, 1.0) * (1 - at_s / 0.4) ** 2 * math.sin(math.tau * 440 * at_s)


if __name__ == "__main__":
    main()
