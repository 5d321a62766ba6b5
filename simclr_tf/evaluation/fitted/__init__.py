"""What is fitted on frozen features: regressions by L-BFGS, and a small MLP."""
