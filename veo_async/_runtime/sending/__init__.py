"""Sending: the scheduler that respects slots and the rate limit, and the sender that makes one attempt."""
