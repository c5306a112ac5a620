"""Time-of-use periods 尖峰平谷: which instant belongs to which period."""
