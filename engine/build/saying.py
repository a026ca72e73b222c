"""The words of Docker's first builder, said to a client in as few pieces as can be."""

import secrets

from engine.progress import Message, Stream


class Saying:
    """Gathers what is said until it is passed on."""

    def __init__(self, progress: Stream) -> None:
        self._progress = progress
        self.unsaid: list[Message] = []

    def say(self, text: str) -> None:
        """Have a text for the client, which gets it as it is with the next `pass_on`."""
        self.unsaid.append(Message(stream=text))

    async def pass_on(self) -> None:
        """Let the client have all that was said."""
        if self.unsaid:
            said, self.unsaid = self.unsaid, []
            await self._progress(*said)

    def say_image(self, image: str) -> None:
        """The id of what a stage made, for machines."""
        self.unsaid.append(Message(aux={"ID": image}))

    def say_triggers(self, count: int) -> None:
        """Of ONBUILD instructions of a base, as Docker says it."""
        if count:
            self.say(f"# Executing {count} build trigger")
            if count > 1:
                self.say("s")
            self.say("\n")

    def say_cached(self) -> None:
        """That a step is not carried out."""
        self.say(" ---> Using cache\n")

    def say_running(self) -> str:
        """Docker ran a container for nearly every step, and clients expect to be told so: its id."""
        container = secrets.token_hex(6)
        self.say(f" ---> Running in {container}\n")
        return container

    def say_removed(self, container: str) -> None:
        """The end of such a container."""
        self.say(f" ---> Removed intermediate container {container}\n")
