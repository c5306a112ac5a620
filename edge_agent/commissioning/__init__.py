"""What a technician needs at the cabinet: ports, meters, whether they are read right, a first file."""
