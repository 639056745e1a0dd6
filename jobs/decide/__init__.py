"""From a ranking to a decision: mixtures, training files, ablations, two runs compared."""
