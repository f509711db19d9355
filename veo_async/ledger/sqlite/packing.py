"""Packs the outcomes of jobs, which would be a third of a ledger, to a quarter of their size; that takes about 6 µs.

An outcome is JSON that repeats the provider's names, and the job's request. So it is compressed with a dictionary: what
most records contain, then the request and the path of the clip. zlib stores the dictionary's checksum in each packed
value. So **what most records contain never changes here**; a later version adds its own, and tries both. SQL that
changes requests or paths must pack the outcomes again.
"""

import zlib
from collections.abc import Iterable
from typing import Any

#: What most records contain.
_COMMON = (
    '{"error": {"error": "TaskFailed", "message": "", "bytes_sent": null, "endpoint": null, "http_status": 200, '
    '"body_code": 501, "is_charged": false, "provider_message": null, "reason": null, "retry_after_s": null}}'
    '{"files": ["/clips/.mp4"], "history": [["generate", "", "", "", "veo3"]], "record": {"completeTime": 17, '
    '"costTime": 1, "createTime": 17, "creditsConsumed": 60, "failCode": null, "failMsg": null, "model": "veo-3-1", '
    '"param": "{\\"model\\":\\"veo-3-1\\",\\"input\\":{\\"prompt\\":\\"\\",\\"image_urls\\":[],\\"mode\\":\\"fast\\",'
    '\\"duration\\":\\"8\\",\\"resolution\\":\\"720p\\"}}", "progress": 100, "resultJson": '
    '"{\\"resultUrls\\":[\\"https://\\"]}", "state": "success", "updateTime": 17}, "sizes": [[1280, 720]]}'
    '"paramJson": "{\\"aspectRatio\\":\\"16:9\\",\\"enableFallback\\":false,\\"enableTranslation\\":true,\\"model\\":'
    '\\"veo3_fast\\",\\"prompt\\":\\"\\",\\"imageUrls\\":[\\"https://\\"],\\"waterMark\\":\\"\\"}"'
    '{"files": ["clips/", ".mp4"], "record": {"completeTime": 1796029037000, "createTime": 1796028928000, '
    '"errorCode": null, "errorMessage": null, "fallbackFlag": false, "paramJson": "{\\"callBackUrl\\":\\"https://\\",'
    '\\"imageUrls\\":[\\"https://\\"],\\"seeds\\":1,\\"watermark\\":\\"\\",\\"generationType\\":\\"TEXT_2_VIDEO\\",'
    '\\"prompt\\":\\". \\",\\"model\\":\\"veo3_fast\\",\\"aspectRatio\\":\\"16:9\\",\\"enableTranslation\\":true,'
    '\\"enableFallback\\":false}", "response": {"fullResultUrls": null, "hasAudioList": [true], "originUrls": null, '
    '"resolution": "720p", "resultUrls": ["https://tempfile.aiquickdraw.com/v/_17.mp4"], "seeds": [1], "taskId": ""}, '
    '"successFlag": 1, "taskId": ""}, "sizes": [[1280, 720]]}'
)


def pack(text: str | None, *known: str | None) -> bytes | None:
    """Return *text* compressed; it contains parts of the *known* texts."""
    if text is None:
        return None
    packer = zlib.compressobj(level=6, memLevel=5, zdict=_dictionary(known))
    return packer.compress(text.encode()) + packer.flush()


def unpack(value: Any, *known: Any) -> Any:
    """Return the text that was packed; any other value as it is: the text of an older ledger, or damaged bytes."""
    if not isinstance(value, bytes):
        return value
    try:
        unpacker = zlib.decompressobj(zdict=_dictionary(known))
        text = unpacker.decompress(value).decode()
    except (zlib.error, UnicodeDecodeError, TypeError):  # TypeError: the request is damaged
        return value
    return text if unpacker.eof else value


def _dictionary(known: Iterable[str | None]) -> bytes:
    return "".join([_COMMON, *(text for text in known if text)]).encode()
