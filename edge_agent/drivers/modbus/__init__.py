"""Modbus: register maps are profiles, reads are planned, one file knows the library."""
