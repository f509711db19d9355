"""Task ids: what one can look like, and where a response of any shape names one.

Ids are opaque. The documentation shows ``veo_task_…`` and UUIDs, the provider really sends 32 hex digits. Text that
cannot be an id is never stored as one: a job with it could not be polled.
"""

import re
from collections.abc import Iterator

from veo_async.errors import printable

from .models import UPGRADE_TARGETS

MAX_LENGTH = 200
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
#: A field with a task id in JSON, or in what was JSON before it was escaped, truncated or printed.
_MENTION = re.compile(
    r"""["']task[_-]?id["']\s*:[\s\[]*(?!null|none|true|false)["']?([^"',\[\]{}]+)""",
    re.IGNORECASE,
)


def is_plausible_task_id(task_id: str) -> bool:
    """Return True if *task_id* is one word of ASCII characters, not too long. Every poll calls this."""
    return 0 < len(task_id) <= MAX_LENGTH and task_id.isascii() and task_id.isprintable() and " " not in task_id


def is_upgrade_name(task_id: str) -> bool:
    """Return True if *task_id* has the form that we give to upgrades. Asking for such a task can be charged."""
    target, separator, source = task_id.partition(":")
    return bool(separator and source) and target in UPGRADE_TARGETS


def is_from_provider(task_id: str) -> bool:
    """Return True if *task_id* can be an id that the provider has given to a task."""
    return is_plausible_task_id(task_id) and not is_upgrade_name(task_id)


def mentioned_task_ids(body: bytes) -> Iterator[str]:
    """Yield every task id in *body*, printable and shortened: nested, escaped, in truncated or invalid JSON.

    A response that rejects a request and yet names a task leaves open whether that task exists and is charged.
    """
    text = _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), body.decode("utf-8", "replace")).replace("\\", "")
    for match in _MENTION.finditer(text):
        if task_id := match[1].strip():
            yield printable(task_id, MAX_LENGTH)
