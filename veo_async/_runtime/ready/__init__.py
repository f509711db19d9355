"""Finished clips that are being saved."""
