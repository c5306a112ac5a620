"""Closed local days of a site: what is expected of a meter, what its feeder misses, and what that means."""
