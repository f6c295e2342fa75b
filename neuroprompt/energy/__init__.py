"""Energy estimates: exact counts times published prices, compared, tabulated, and beside what a processor measured."""
