"""The contract: what the edge agent and the collector say to each other.

This package imports nothing of the three programs; all three import it.
"""
