"""Parts with their vectors become scores and moments."""
