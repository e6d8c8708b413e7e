"""Live events over HTTP, in Segment's form: read, judged one by one, and on disk before they are acknowledged."""
