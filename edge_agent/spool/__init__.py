"""The spool: rounds wait here until the collector has acknowledged them."""
