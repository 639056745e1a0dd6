"""What runs and in which order: the stages, the command line, the Python interface."""
