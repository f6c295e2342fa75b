"""Programs as plain C: written, compiled and checked."""
