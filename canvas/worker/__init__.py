"""Worker: the loop that takes messages, has them run and writes down what follows."""
