"""What tests measure, shown when all is over."""

FIGURES: list[str] = []  # lines


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("measured")
        for row in FIGURES:
            terminalreporter.line(row)
