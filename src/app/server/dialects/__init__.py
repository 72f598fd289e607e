"""The APIs that clients speak, each a translation to `Work` and back; none touches HTTP."""
