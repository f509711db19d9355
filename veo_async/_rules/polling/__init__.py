"""Which task to poll next, and what a poll's result means."""
