"""`python -m harness COMMAND`, which is what the Makefile calls."""

import sys

from harness.cli import main

sys.exit(main())
