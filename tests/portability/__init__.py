"""The library on systems that lack what Linux has; Windows is simulated by taking those things away."""
