"""The receiving side of callbacks."""
