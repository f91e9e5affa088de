"""Packages for the listening room: rendered, levelled, blinded."""
