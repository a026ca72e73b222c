"""Names of containers: what is allowed, and names made up for those who give none."""

import random
import re
from collections.abc import Callable

import errdefs

ALLOWED = "[a-zA-Z0-9][a-zA-Z0-9_.-]"  # as Docker's error message prints it
VALID = re.compile(ALLOWED + "+")

_TRIES = 6


def require_valid(name: str) -> str:
    """The name without its leading slash; InvalidArgument, with Docker's text, if it is not allowed."""
    bare = name.removeprefix("/")
    if VALID.fullmatch(bare) is None:
        raise errdefs.InvalidArgument(f"Invalid container name ({name}), only {ALLOWED} are allowed")
    return bare


def generate(taken: Callable[[str], bool], fallback: str) -> str:
    """A made-up `adjective_surname` for which `taken` says no; `fallback` (the short id) failing that.

    From the second try on a digit makes a clash less likely.
    """
    for attempt in range(_TRIES):
        name = f"{random.choice(_ADJECTIVES)}_{random.choice(_SURNAMES)}"
        if attempt:
            name += str(random.randrange(10))
        if not taken(name):
            return name
    return fallback


_ADJECTIVES = re.findall(
    r"\w+",
    """
    airy amber ample apt astute azure balmy bonny breezy brisk bronze buoyant calm candid cheery
    chief civil clear coastal cordial cosy crisp curious dainty dapper daring deft dewy dulcet early
    earnest easy even fabled fair famed fearless fleet fluent fond frank free fresh genial gilded
    glad golden grand hale handy hardy hearty honest humble idle ivory jaunty leafy level light
    limber lively loyal lunar mellow merry mighty mild mindful misty neat nimble noble northern
    olive open patient pearly placid plucky polar proud quick quiet radiant rapid ready roaming rosy
    royal rustic sage sandy scenic silver sincere snowy solar spry stable starry steady stout sturdy
    sunny supple swift tidal tidy timely tranquil true valiant vernal vivid warm wry young zesty
    """,
)

# Voyagers, pilots, climbers, navigators and map makers.
_SURNAMES = re.findall(
    r"\w+",
    """
    abruzzi amundsen anson baffin baker balboa bancroft barents barth bass batten battuta behaim
    bellingshausen bering bird bligh bougainville boukreev brazza brendan burton byrd cabot cartier
    cassini champlain chichester clark coleman columbus cook cousteau crowhurst dampier davidneel
    dezhnev drake duarte dumas earhart elcano erikson fawcett fiennes flinders frobisher fuchs gama
    gatty gaspe hakluyt hanno harrison hawkins hedin henson herzog heyerdahl hillary hudson humboldt
    irvine joliet kenton kingsley lachenal laing lewis livingstone mackenzie magellan mallory
    mannering markham markova mawson mercator messner mitchell moitessier mummery nansen
    nordenskiold norgay odoric oates orellana ortelius park parry peary piccard pinzon polo
    przhevalsky pytheas quiros raleigh ross rutkiewicz sacagawea scott shackleton slocum smythe soto
    speke stark stein sverdrup tabei tasman terray thesiger torres tristao vancouver verrazzano
    vespucci waldseemuller wallis weddell whymper wilkes xuanzang younghusband zhang
    """,
)
