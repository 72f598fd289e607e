"""The endpoints, one router per subject."""
