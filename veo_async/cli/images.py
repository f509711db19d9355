"""Checks image files before any of them is uploaded."""

from veo_async.errors import InvalidRequest, Problem
from veo_async.requests import inspect_image, is_path


def check_images(files: list[str]) -> None:
    """Read all image files in *files*; URLs are not checked. This blocks.

    Raises:
        InvalidRequest: with every problem of every file.
    """
    problems: list[Problem] = []
    for file in filter(is_path, files):
        try:
            inspect_image(file)
        except InvalidRequest as error:
            problems += error.problems
    if problems:
        raise InvalidRequest.of(*problems)
