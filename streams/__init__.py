"""What flows: events, topics, the publisher, and the Faust agents that decode, call `monitor` and send."""
