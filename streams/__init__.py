"""What flows: events, topics, the journal and its shipper, and the Faust agents that decode, call `monitor`, send."""
