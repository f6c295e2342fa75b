"""Writes the table of architectures anew: `python tests/helpers/architectures_table.py [PART OF]`, rows on stdout.

Takes minutes. `PART OF` writes every OF-th row from PART on, without the head.
"""

from __future__ import annotations

import csv
import sys

import timm

from neuroprompt.training.architectures import COLUMNS, described, rows


def main(part: int = 0, of: int = 1) -> None:
    """Describe timm's architectures one by one."""
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    if of == 1:
        writer.writeheader()
    for name in timm.list_models()[part::of]:
        writer.writerows(rows([(name, described(name))]))
        sys.stdout.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
