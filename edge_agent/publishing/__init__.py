"""Publishing: from the spool to the broker, and what the acknowledgements mean."""
