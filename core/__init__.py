"""The core: what is held, what must go, and the machinery that gets it closed and proves it."""
