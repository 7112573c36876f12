"""OpenAI's API as bytes: request bodies, replies, streams, the Responses API, and how much a request may ask for.

`request_body` reads what a client sent and makes what an engine gets; `reply_body`, `responses_api`, `sse` and `answer`
read what the engine answers; `bounds` refuses what asks for too much.

Pure: nothing here connects to anything. Of the gateway it may import `errors` and nothing else.
"""
