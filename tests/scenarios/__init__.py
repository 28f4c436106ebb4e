"""The operators' stories, told through the command line on paper accounts."""
