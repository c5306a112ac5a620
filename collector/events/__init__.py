"""Events: what was found, with evidence people can stand on."""
