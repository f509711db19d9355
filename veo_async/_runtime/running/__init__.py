"""Tasks that the provider works on: the watcher polls them."""
