"""From the broker to admitted rounds."""
