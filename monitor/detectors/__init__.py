"""Sequential tests, one a module, that all keep the promise of `monitor.detectors.interface`."""
