"""Where a cache is stored: a folder, or an address such as s3://bucket/features/photos."""
