"""What the tests share: generated attention problems and the error bounds their results must keep."""
