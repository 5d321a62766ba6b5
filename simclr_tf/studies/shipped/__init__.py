"""The paper's comparisons, a file each: STUDY in two sizes."""
