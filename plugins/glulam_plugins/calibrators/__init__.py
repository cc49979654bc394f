"""Methods of calibration."""
