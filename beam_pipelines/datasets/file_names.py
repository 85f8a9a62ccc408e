"""Names and checksums of files that metadata may give: such as we write, so that no name leads out of the folder."""

from __future__ import annotations

from typing import Annotated

import msgspec

# Letters, digits and _ . - alone, and something beside dots: neither a path nor a URL.
FileName = Annotated[str, msgspec.Meta(pattern=r'\A[\w.-]*[\w-][\w.-]*\Z', max_length=200)]

Crc32c = Annotated[str, msgspec.Meta(pattern=r'\A[0-9a-f]{8}\Z')]
