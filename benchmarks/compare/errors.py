"""What ends a comparison with one clear line and exit code 2."""


class CompareError(Exception):
    """Wrong use, or a revision that cannot be compared."""
