"""The order of a run: what is prepared, which stages follow, where tasks run, how it is concluded."""
