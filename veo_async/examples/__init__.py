"""Small complete programs, each under sixty lines. Read them, copy them, or run them with ``python -m``.

With an API key in ``KIE_API_KEY`` they generate real clips. Against ``veo-async simulator`` they are free::

    veo-async simulator --port 8080 --api-key simulator-key-0123456789
    VEO_BASE_URL=http://127.0.0.1:8080 VEO_API_KEY=simulator-key-0123456789 python -m veo_async.examples.many_clips
"""
