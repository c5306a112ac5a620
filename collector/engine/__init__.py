"""The engine: rounds in, events and determinants out; no clock, no I/O, no logging."""
