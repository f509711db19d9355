"""Puts what a finished task has made where its addresses lead."""

from veo_async.simulator.clips import POSTER, choose

from .files import FileHost
from .tasks import Kind, Task


def publish(task: Task, files: FileHost, ttl_s: float) -> None:
    """Give *task*, which has just been done, its results; their addresses work for *ttl_s* seconds."""
    task.urls = (_film(task, "generate" if task.kind == "extend" else task.kind, files, ttl_s),)
    if task.kind == "extend":
        task.full_urls = (_film(task, "extend", files, ttl_s, "_full"),)
    if task.kind == "generate" and task.request.aspect_ratio == "9:16":
        task.origin_urls = (_film(task, "generate", files, ttl_s, "_origin"),)
    if task.kind == "4k":
        task.image_urls = (files.put(f"{_stem(task)}.jpg", POSTER, now=task.completes_at, ttl_s=ttl_s),)


def _film(task: Task, kind: Kind, files: FileHost, ttl_s: float, ending: str = "") -> str:
    shape = "16:9" if ending == "_origin" else task.request.aspect_ratio
    clip = choose(task_number=task.number, aspect_ratio=shape, duration=task.request.duration_s, kind=kind)
    return files.put(f"{_stem(task)}{ending}.mp4", clip, now=task.completes_at, ttl_s=ttl_s)


def _stem(task: Task) -> str:
    """As the real host names its files: a folder, the task's id, the second in which it was done."""
    folder = "p" if task.kind == "1080p" else "v"
    return f"{folder}/{task.id}_{int(task.completes_at)}{'_4k' if task.kind == '4k' else ''}"
