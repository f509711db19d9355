"""One page that shows what became of a batch: every clip playing, every failure with its reason and its remedy.

from veo_async.batch.gallery import Card, write_gallery

write_gallery(Path("clips"), [Card(key="fox", prompt="a fox", state="saved", file="fox.mp4")], title="Foxes")
"""

from .cards import Card
from .page import render_gallery, write_gallery

__all__ = ["Card", "render_gallery", "write_gallery"]
