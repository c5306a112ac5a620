"""Polling: when which meter is read, and what becomes of one tick."""
