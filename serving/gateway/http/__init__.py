"""HTTP for clients: uvicorn's server within limits, and the ASGI application that it calls.

`listener` starts it, and `protocol` is each of its connections. `asgi` checks a request's head, lets the application
admit it, reads its body within the budget of `bodies`, and lets the application answer through `request`.
Knows nothing of OpenAI. Of the gateway it may import `errors` and `access`. docs/decisions/http-server.md says why the
server is uvicorn's.
"""
