"""The thin typed client: exactly one HTTP attempt per call, and an honest account of it.

- ``client.py``     `VeoApi`, one coroutine per endpoint
- ``lookout.py``    one look after another at running tasks
- ``making.py``     one creating attempt of whatever can be asked for, and the look at an upgrade
- ``transport.py``  one attempt over aiohttp: what had left us, what came back, within bounds
- ``key.py``        the API key: where it comes from, and how it stays unseen
- ``address.py``    which addresses may be given the key
- ``multipart.py``  a form with a file in it
"""

from .client import VeoApi
from .creating import create, endpoint_of, poll_upgrade
from .key import ApiKey
from .record_poller import RecordPoller
from .transport import AiohttpTransport

__all__ = ["AiohttpTransport", "ApiKey", "RecordPoller", "VeoApi", "create", "endpoint_of", "poll_upgrade"]
