"""What leaves the collector for the modules that act on it."""
