"""What was measured, for the end of pytest's report."""

FIGURES: list[str] = []
