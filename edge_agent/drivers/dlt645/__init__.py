"""DL/T 645-2007, the protocol of Chinese meters: reads without a password, and nothing else."""
