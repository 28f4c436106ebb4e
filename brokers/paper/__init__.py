"""The embedded paper venue, used for demos, dry runs, fire drills, replays and tests."""
