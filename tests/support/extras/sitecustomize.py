"""Python imports it by itself before anything else, where this folder is on its path."""

from tests.support.extras.hidden import hide

hide()
