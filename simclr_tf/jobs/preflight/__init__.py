"""--mode=preflight."""
