"""Price lists, one file each."""
