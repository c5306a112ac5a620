"""Open connections of any driver: TCP, TLS and serial ports; one stream of octets each."""
