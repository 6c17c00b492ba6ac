"""The head in closed form: ridge regression from image features to targets."""
