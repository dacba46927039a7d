"""Advantages as pure functions, a file per algorithm; no trainer in sight."""
