"""Simulated meters and parks that speak the real protocols, for CI and for demonstrations."""
