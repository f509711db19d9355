"""The account's rate limit: when the next creating request may be sent."""
