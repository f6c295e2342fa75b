"""Price lists, a file each: every constant beside its paper."""
