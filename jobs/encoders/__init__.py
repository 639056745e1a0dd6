"""Encoders listed, verified and compared for `eci encoders`."""
