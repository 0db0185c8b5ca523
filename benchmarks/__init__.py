"""What was measured of this project, and how; README.md beside this."""
