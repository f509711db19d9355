"""What the generated parts of the guide are made from, and its tests."""
