"""The collector: stores the rounds of all gateways, runs the checks and feeds what they find."""
