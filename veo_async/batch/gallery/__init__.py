"""One HTML page about a batch: the clips first, then every failure with its reason and what to do, then the numbers.

from veo_async.batch.gallery import Card, write_gallery

write_gallery(Path("clips"), [Card(key="fox", prompt="a fox", state="saved", file="fox.mp4")], title="Foxes")
"""

from .cards import Card
from .page import CLIENT_NAME, render_gallery, write_gallery
from .posters import add_posters

__all__ = ["CLIENT_NAME", "Card", "add_posters", "render_gallery", "write_gallery"]
