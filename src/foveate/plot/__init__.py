"""Pictures of attention weights and of benchmarks. Needs the extra ``plot`` (matplotlib), imported when used.

The functions draw into figures of their own, or into axes given to them; they never touch pyplot, its current
figure or its settings. In a script save what they return: ``heatmap(weights).savefig("weights.png")``.
"""

from foveate.plot._heatmap import heatmap
from foveate.plot._history import history
from foveate.plot._lengths import lengths
from foveate.plot._modes import modes
from foveate.plot._roofline import roofline

__all__ = ["heatmap", "history", "lengths", "modes", "roofline"]
