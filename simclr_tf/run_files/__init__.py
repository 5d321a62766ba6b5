"""What lies in a model_dir."""
