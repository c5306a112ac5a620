"""Keep freed memory instead of giving it back: the kernel's page faults cost a sixth of the hot path otherwise.

Every commit allocates and frees some megabytes. glibc returns blocks of that size to the kernel at once and asks for
them anew at the next commit, page by page. The price is that a collector that was once busy stays as large as it then
was.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_MIB = 1024 * 1024


def keep_freed_memory() -> bool:
    """Tell the C library; ``False`` where it is not glibc and knows no such thing."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = {_M_MMAP_THRESHOLD: 32 * _MIB, _M_TRIM_THRESHOLD: 512 * _MIB, _M_TOP_PAD: 16 * _MIB}
    taken = [bool(mallopt(option, size)) for option, size in wanted.items()]
    return all(taken)
