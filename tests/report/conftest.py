"""``make test`` leaves these tests out: they need a browser, which ``make test-report`` sets up."""

collect_ignore = ["test_report.py"]  # but for a path on pytest's command line
