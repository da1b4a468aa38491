"""`python -m bench [NAME...]`: measurements by name, or all of them."""

import sys

from bench import frame

sys.exit(frame.main())
