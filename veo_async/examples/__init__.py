"""Small whole programs, each under sixty lines: read them, copy them, run them with ``python -m``.

With a key in ``KIE_API_KEY`` they make real clips. Against ``veo-async simulator`` they cost nothing::

    veo-async simulator --port 8080 --api-key try-me-for-nothing-0123456789
    VEO_BASE_URL=http://127.0.0.1:8080 VEO_API_KEY=try-me-for-nothing-0123456789 python -m veo_async.examples.many_clips
"""
