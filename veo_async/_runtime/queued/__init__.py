"""Jobs that wait: admission, prerequisites (images, source clips) and reserved credits."""
