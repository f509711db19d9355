"""One job: its live state, its handle for the user, its events, its outcome and its ledger row."""
