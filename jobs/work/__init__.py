"""What stages hand to one another: the job, the work files, and the one table of them."""
