"""The one place where the version and the address of the project are written."""

__version__ = "0.1.0"

PROJECT_URL = "https://github.com/veo-async/veo-async"
