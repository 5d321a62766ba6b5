"""--mode=study."""
