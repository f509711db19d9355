"""Publishes the files of a finished task on the download host."""

from veo_async.simulator.clips import POSTER, choose
from veo_async.simulator.clips.presentation import presented_as

from .files import FileHost
from .tasks import Kind, Task


def publish(task: Task, files: FileHost, ttl_s: float, resolution: str | None = None) -> None:
    """Set the result URLs of *task*, which has just succeeded. They work for *ttl_s* seconds.

    Args:
        resolution: deliver this one, whatever was requested.
    """

    def put(kind: Kind, suffix: str = "") -> str:
        aspect_ratio = "16:9" if suffix == "_origin" else task.request.aspect_ratio
        clip = choose(task_number=task.number, aspect_ratio=aspect_ratio, duration=task.request.duration_s, kind=kind)
        shown = presented_as(clip, resolution or task.resolution)
        return files.put(f"{_stem(task)}{suffix}.mp4", shown, now=task.completes_at, ttl_s=ttl_s)

    task.urls = (put("generate" if task.kind == "extend" else task.kind),)
    if task.kind == "extend":
        task.full_urls = (put("extend", "_full"),)
    if task.kind == "generate" and task.request.aspect_ratio == "9:16":
        task.origin_urls = (put("generate", "_origin"),)
    if task.kind == "4k":
        task.image_urls = (files.put(f"{_stem(task)}.jpg", POSTER, now=task.completes_at, ttl_s=ttl_s),)


def _stem(task: Task) -> str:
    """Return a file name like those of the real host: a folder, the task id and the second of completion."""
    folder = "p" if task.kind == "1080p" else "v"
    return f"{folder}/{task.id}_{int(task.completes_at)}{'_4k' if task.kind == '4k' else ''}"
