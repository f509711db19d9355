"""Prices and budgets without a session: what requests cost by a table, and credits that are reserved for them."""

from ._rules.credits.prices import PRICES, Prices, price_key, price_of, total
from ._rules.credits.reservations import Reservations

__all__ = ["PRICES", "Prices", "Reservations", "price_key", "price_of", "total"]
