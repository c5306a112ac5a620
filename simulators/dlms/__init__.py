"""A DLMS/COSEM meter: a server on a codec of its own, written from the books and not from the driver that reads it."""
