"""Examples of who consumes the feeds: they know the HTTP feeds and nothing else of the collector."""
