"""The metric: SQL files, NumPy UDFs, moments, information, intervals."""
