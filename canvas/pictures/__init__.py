"""Pictures of a canvas: what it consists of and how far it has come, as text, DOT, Mermaid and SVG. Pure functions of a box.py tree."""
