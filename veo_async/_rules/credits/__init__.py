"""Prices, reservations and the minimum balance."""
