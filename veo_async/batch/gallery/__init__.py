"""One HTML page about a batch: every clip with a player, every failure with its reason and what to do.

from veo_async.batch.gallery import Card, write_gallery

write_gallery(Path("clips"), [Card(key="fox", prompt="a fox", state="saved", file="fox.mp4")], title="Foxes")
"""

from .cards import Card
from .page import render_gallery, write_gallery

__all__ = ["Card", "render_gallery", "write_gallery"]
