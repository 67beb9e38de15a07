"""Names for sandboxes that nobody named: two words that can be said aloud."""

from __future__ import annotations

import secrets

MANNERS = (
    "able agile amber ample brave brief bright brisk calm candid cheery civil clear clever cosy crisp"
    " dapper deft eager early easy fair fleet fond frank fresh gentle glad golden grand hardy"
    " honest humble jolly keen kind level light lively loyal lucky mellow merry mild modest neat nimble"
    " noble patient placid plain polite prompt proud quick quiet ready sage sharp silver sleek smart snug"
    " sober solid spry steady still sturdy subtle sunny sure swift tame tender tidy trim true trusty"
    " upbeat vivid warm wary wise witty young zesty"
)
ANIMALS = (
    "ant badger bear beaver bee bison boar buzzard camel carp cat cicada cod crab crane cricket crow deer"
    " dingo dove duck eagle eel egret elk falcon ferret finch fox frog gecko gibbon goat goose grouse gull"
    " hare hawk hen heron horse ibex ibis jackal jay koala lark lemur lion lizard llama lynx magpie marten"
    " mole moose moth mouse mule newt ocelot orca oriole otter owl ox panda parrot perch pigeon pike plover"
    " pony puffin puma quail rabbit raven robin rook salmon seal shrew shrike skink snail sparrow squid"
    " stoat stork swan swift tapir tern thrush tiger toad trout turtle viper vole walrus wasp weasel whale"
    " wolf wombat wren yak zebra"
)


def suggest() -> str:
    """Return a name such as `calm-otter`."""
    return f"{secrets.choice(MANNERS.split())}-{secrets.choice(ANIMALS.split())}"
