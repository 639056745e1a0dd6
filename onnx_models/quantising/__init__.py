"""An encoder with static int8 weights, calibrated on texts and checked."""
