"""The jobs of --mode=evaluate: what is done with an encoder to score it."""
