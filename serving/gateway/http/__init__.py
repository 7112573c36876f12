"""HTTP for clients: uvicorn's server within limits, and the ASGI application that it calls.

`Listener` starts it; it calls `Door`, which admits, reads and answers each request through the application handed in.
Knows nothing of OpenAI. Of the gateway it may import `errors` and `access`. docs/decisions/http-server.md says why the
server is uvicorn's.
"""
