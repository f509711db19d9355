"""The account's rate limit: how many requests may be sent, and when."""
