"""Packs the outcomes of jobs, which would be a third of a ledger, to a third of their size; that takes about 6 µs.

An outcome is JSON that repeats the provider's names, so it is compressed with a dictionary of what most records
contain. zlib stores the dictionary's checksum in each packed value, so **the dictionary never changes**; a later
version adds its own, and tries both.
"""

import zlib
from typing import Any

#: What most records contain.
_DICTIONARY = (
    b'{"error": {"error": "TaskFailed", "message": "", "bytes_sent": null, "endpoint": null, "http_status": 200, '
    b'"body_code": 501, "is_charged": false, "provider_message": null, "reason": null, "retry_after_s": null}}'
    b'{"files": ["/clips/.mp4"], "history": [["generate", "", "", "", "veo3"]], "record": {"completeTime": 17, '
    b'"costTime": 1, "createTime": 17, "creditsConsumed": 60, "failCode": null, "failMsg": null, "model": "veo-3-1", '
    b'"param": "{\\"model\\":\\"veo-3-1\\",\\"input\\":{\\"prompt\\":\\"\\",\\"image_urls\\":[],\\"mode\\":\\"fast\\",'
    b'\\"duration\\":\\"8\\",\\"resolution\\":\\"720p\\"}}", "progress": 100, "resultJson": '
    b'"{\\"resultUrls\\":[\\"https://\\"]}", "state": "success", "updateTime": 17}, "sizes": [[1280, 720]]}'
    b'"paramJson": "{\\"aspectRatio\\":\\"16:9\\",\\"enableFallback\\":false,\\"enableTranslation\\":true,\\"model\\":'
    b'\\"veo3_fast\\",\\"prompt\\":\\"\\",\\"imageUrls\\":[\\"https://\\"],\\"waterMark\\":\\"\\"}"'
    b'{"files": ["clips/", ".mp4"], "record": {"completeTime": 1796029037000, "createTime": 1796028928000, '
    b'"errorCode": null, "errorMessage": null, "fallbackFlag": false, "paramJson": "{\\"callBackUrl\\":\\"https://\\",'
    b'\\"imageUrls\\":[\\"https://\\"],\\"seeds\\":1,\\"watermark\\":\\"\\",\\"generationType\\":\\"TEXT_2_VIDEO\\",'
    b'\\"prompt\\":\\". \\",\\"model\\":\\"veo3_fast\\",\\"aspectRatio\\":\\"16:9\\",\\"enableTranslation\\":true,'
    b'\\"enableFallback\\":false}", "response": {"fullResultUrls": null, "hasAudioList": [true], "originUrls": null, '
    b'"resolution": "720p", "resultUrls": ["https://tempfile.aiquickdraw.com/v/_17.mp4"], "seeds": [1], "taskId": ""}, '
    b'"successFlag": 1, "taskId": ""}, "sizes": [[1280, 720]]}'
)


def pack(text: str | None) -> bytes | None:
    """Return *text* compressed."""
    if text is None:
        return None
    packer = zlib.compressobj(level=6, memLevel=5, zdict=_DICTIONARY)
    return packer.compress(text.encode()) + packer.flush()


def unpack(value: Any) -> Any:
    """Return the text that was packed; any other value as it is: the text of an older ledger, or damaged bytes."""
    if not isinstance(value, bytes):
        return value
    try:
        unpacker = zlib.decompressobj(zdict=_DICTIONARY)
        text = unpacker.decompress(value).decode()
    except (zlib.error, UnicodeDecodeError):
        return value
    return text if unpacker.eof else value
