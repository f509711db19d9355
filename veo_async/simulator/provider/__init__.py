"""The provider as a pure state machine: no sockets, no clock."""
