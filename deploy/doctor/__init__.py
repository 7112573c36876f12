"""What `homeostat doctor` looks at: this machine, brokers, topics and engines. Changes nothing."""
