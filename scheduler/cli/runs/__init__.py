"""`backbeat runs`: what became of tasks, and having one run again, or not at all."""
