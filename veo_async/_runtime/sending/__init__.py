"""Requests on their way: the scheduler that respects the rate limit, and the sender that makes one attempt."""
