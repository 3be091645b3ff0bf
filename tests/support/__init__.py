"""What the tests share: generated attention problems, comparisons, memory."""
