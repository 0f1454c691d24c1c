"""Image super-resolution with Keras: the library behind the lessons in `notebooks/`."""
