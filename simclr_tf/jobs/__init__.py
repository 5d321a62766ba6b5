"""What run.py can be asked to do, one file a job."""
