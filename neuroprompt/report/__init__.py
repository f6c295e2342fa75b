"""The report: one HTML file of what was trained and deployed, with every figure beside it as a file and as data."""
