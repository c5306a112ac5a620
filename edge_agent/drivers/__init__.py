"""Drivers: how meters of one kind are read."""
