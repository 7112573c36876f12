"""OpenAI's API as bytes: request bodies, replies, streams, the Responses API, and what a request may ask for.

Pure: nothing here connects to anything.
"""
