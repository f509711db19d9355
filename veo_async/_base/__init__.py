"""Helpers with no knowledge of video generation. Standard library only."""
