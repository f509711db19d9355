"""The providers: their addresses, spellings and features, and where an API key is read from."""

from ._api.key import KEY_FILE_VARIABLE, KEY_VARIABLES
from ._wire import APIKLEY, KIE, Dialect
from ._wire import dialect_named as provider_named

__all__ = ["APIKLEY", "KEY_FILE_VARIABLE", "KEY_VARIABLES", "KIE", "Dialect", "provider_named"]
