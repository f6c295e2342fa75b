"""The contracts between the core and its parts, on two pages: `learning` (what is trained) and `deployment`."""
