"""Real triples from the documentation of installed libraries, and a run over them."""
