"""The edge agent: polls the meters of one gateway and publishes their rounds, losing none."""
