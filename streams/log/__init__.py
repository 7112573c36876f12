"""The log as a plain object: settings, clients, reading, appending, topic ids.

Everything outside `worker` that touches Kafka goes through here. Imports nothing of the other wings; every wing may
import it.
"""
