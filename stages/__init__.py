"""One thin script per DVC stage: load the settings, call the library, write the outputs."""
