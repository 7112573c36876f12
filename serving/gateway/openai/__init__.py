"""OpenAI's API as bytes: request bodies, replies, streams, the Responses API, and how much a request may ask for.

Pure: nothing here connects to anything. It may import `errors` and nothing else of the gateway.
"""
