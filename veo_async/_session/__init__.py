"""What `VeoSession` is composed of: its lifetime, its parts, and the three objects that hang on it."""
