"""The provider as a pure state machine: no sockets, no clock, no faults. Time and randomness are arguments."""
