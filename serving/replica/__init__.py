"""What an engine serves: adapters checked, loaded, probed and attested, one reconciler for each replica."""
