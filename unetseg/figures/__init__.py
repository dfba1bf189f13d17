"""Pictures for people: everything that needs matplotlib."""
