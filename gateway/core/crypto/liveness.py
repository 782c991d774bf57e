"""The words in which a gateway proves that it has the keys of a configuration (`check --live`).

Who asks sends a nonce; the answer holds its keyed hash, good for nothing else.
"""

from __future__ import annotations

import re
from typing import Final

PARAMETER: Final = "proof"
PURPOSE: Final = "proof of keys"
NONCE: Final = re.compile(r"[0-9a-f]{32}")
