"""The embedded paper venue: demo, dry runs, fire drills, replays, and the test double of everything."""
