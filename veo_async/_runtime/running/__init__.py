"""Running: the provider works on a task, and the watcher polls it."""
