"""Small helpers that clients import."""
