"""The signature of a callback (docs.kie.ai, common-api/webhook-verification, read 2026-11-21).

``base64(HMAC-SHA256(key, task id + "." + timestamp))`` in ``X-Webhook-Signature``, with ``X-Webhook-Timestamp``.
The body is not signed: anyone who has seen one signature can send any body with it.
"""

import base64
import hmac

SIGNATURE_HEADER = "X-Webhook-Signature"
TIMESTAMP_HEADER = "X-Webhook-Timestamp"


def sign_callback(task_id: str, timestamp: int, key: str) -> str:
    """Return the signature that the provider sends."""
    digest = hmac.digest(key.encode(), f"{task_id}.{timestamp}".encode(), "sha256")
    return base64.b64encode(digest).decode("ascii")
