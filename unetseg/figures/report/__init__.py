"""The report: one HTML page that needs nothing from outside."""
