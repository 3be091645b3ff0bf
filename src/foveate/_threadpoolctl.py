"""Makes the thread pool of foveate visible to threadpoolctl, where that is installed."""

from __future__ import annotations

import importlib
from typing import Any

_registered = False


def register() -> None:
    """Register a controller with threadpoolctl, once; does nothing where it is not installed.

    threadpoolctl looks at the libraries that are loaded when it is asked, so the order of the imports
    does not matter. The controller changes the default of the whole process, all of its threads.
    """
    global _registered
    if _registered:
        return
    try:
        threadpoolctl: Any = importlib.import_module("threadpoolctl")
    except ImportError:
        return

    class FoveateController(threadpoolctl.LibController):  # type: ignore[misc]
        user_api = "foveate"
        internal_api = "foveate"
        filename_prefixes = ("_core.",)
        check_symbols = ("fov_get_process_num_threads", "fov_set_num_threads")

        # threadpoolctl builds a controller for every library called _core.*, before it checks the symbols.
        def _text(self, symbol: str) -> str | None:
            function = self._get_symbol(symbol)
            if function is None:
                return None
            from ctypes import c_char_p

            function.restype = c_char_p
            return str(function().decode())

        def get_version(self) -> str | None:
            return self._text("fov_version")

        def set_additional_attributes(self) -> None:
            self.threading_layer = self._text("fov_threading_layer")

        def get_num_threads(self) -> Any:
            function = self._get_symbol("fov_get_process_num_threads")
            return None if function is None else function()

        def set_num_threads(self, num_threads: int) -> None:
            function = self._get_symbol("fov_set_num_threads")
            if function is None:
                return
            # What is put back at the end of a limit is often the automatic choice: let it stay automatic.
            function(0)
            if self.get_num_threads() != num_threads:
                function(num_threads)

    threadpoolctl.register(FoveateController)
    _registered = True
