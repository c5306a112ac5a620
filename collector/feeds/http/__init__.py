"""The feeds over HTTP: a process of its own, behind tokens, on the loopback interface unless it is told otherwise."""
