"""Looking at models: pictures, differences, and what they cost."""
