"""Pictures of attention weights. Needs the extra ``plot`` (matplotlib), which is imported on first use.

The functions draw into figures of their own, or into axes given to them; they never touch pyplot, its current
figure or its settings. In a script save what they return: ``heatmap(weights).savefig("weights.png")``.
"""

from foveate.plot._heatmap import heatmap
from foveate.plot._modes import modes

__all__ = ["heatmap", "modes"]
