"""The ways to reach the simulated provider: an HTTP server, and a transport without sockets."""
