"""Jobs that wait: admission, prerequisites (images, source clips), reserved credits, and the queue."""
