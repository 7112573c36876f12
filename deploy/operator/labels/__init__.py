"""Labels, as an operator sees them: which replies want one, draws by chance, labels given from a file, and how well a
judge model agrees with people. The way in is `wanted`; used by `deploy.commands.labels`."""
