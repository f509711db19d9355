"""The API client: exactly one HTTP request per call, and an exact report of what happened.

- ``client.py``         `VeoApi`, one coroutine per endpoint
- ``creating.py``       one creating request of any kind, and polls of an upgrade
- ``record_poller.py``  cheap repeated polls of running tasks
- ``requester.py``      one request with URL, headers and key
- ``transport.py``      one HTTP request over aiohttp: how much was sent, what was received, within bounds
- ``key.py``            the API key: where it comes from, and how it stays hidden
- ``base_urls.py``      which URLs may receive the key
- ``multipart.py``      a form with a file
"""

from .client import VeoApi
from .creating import create, poll_upgrade
from .key import ApiKey
from .record_poller import RecordPoller
from .transport import AiohttpTransport

__all__ = ["AiohttpTransport", "ApiKey", "RecordPoller", "VeoApi", "create", "poll_upgrade"]
