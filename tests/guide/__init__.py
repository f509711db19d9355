"""What the generated parts of the guide are made from, and the tests of its pages."""
