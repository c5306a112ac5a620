"""What a meter will draw: tomorrow's load curve, the end of the month, and early warnings about capacity."""
