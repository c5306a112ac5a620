"""Where readings, determinants and events are kept: InfluxDB, or SQLite without a server."""
