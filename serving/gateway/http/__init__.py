"""The HTTP server that clients connect to: server, connections, requests.

Knows nothing of OpenAI; the application is handed in.
"""
