"""Readings from a file through the same engine as live ones."""
