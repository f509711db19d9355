"""Ways to reach the simulated provider: an HTTP server, and calls in memory."""
