"""What `homeostat` can be told, a module for each group of commands; `deploy.cli` puts them together."""
