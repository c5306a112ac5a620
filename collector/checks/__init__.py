"""The checks: what the readings mean. Each file states one rule, its limits and where they come from."""
