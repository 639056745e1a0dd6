"""Collections, rankings, negatives, metrics: shared by the validation, the encoders' comparison and the demo."""
