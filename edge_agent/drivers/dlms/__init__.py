"""DLMS/COSEM (IEC 62056): meters that describe themselves by OBIS code, over TCP, HDLC or an optical head."""
