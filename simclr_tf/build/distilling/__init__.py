"""What a student needs beside its network: the teacher, and its classes."""
