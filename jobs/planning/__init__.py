"""What a run would cost, and what works on this machine."""
