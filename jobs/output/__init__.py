"""The output root: where all lies, the store, the lock, the tables, committed runs, the catalog."""
