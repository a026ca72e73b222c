"""Events of images."""

from engine.events import Events
from engine.images.image import Image


async def announce(events: Events, action: str, image: Image, name: str = "", *, labels: bool = True) -> None:
    """Tell that something happened to an image; `name` is what the action was on, its id if left out."""
    attributes = {**(image.labels if labels else {}), "name": name or image.id}
    await events.publish("image", action, image.id, attributes)
