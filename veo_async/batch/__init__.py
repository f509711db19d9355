"""Manifests in, results and a gallery out, over one session."""
