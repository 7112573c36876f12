"""Commands about versions of a model: train, compare, gate, promote, and the data that they learn from."""
