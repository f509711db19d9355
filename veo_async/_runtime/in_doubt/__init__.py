"""Jobs that were sent and whose outcome is unknown."""
