"""Names of files that metadata may give: such as we write, so that none leads out of the dataset's folder."""

from __future__ import annotations

from typing import Annotated

import msgspec

# Letters, digits and _ . - alone, and something beside dots: neither a path nor a URL.
FileName = Annotated[str, msgspec.Meta(pattern=r'\A[\w.-]*[\w-][\w.-]*\Z', max_length=200)]
