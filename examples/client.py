"""A client of the gateway: OpenAI's own library asks, and gives a label once the truth is known."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ["HOMEOSTAT_URL"], api_key=os.environ["HOMEOSTAT_KEY"])

reply = client.chat.completions.with_raw_response.create(
    model="support",  # an alias; the gateway picks the version
    messages=[{"role": "user", "content": "Where is my card?"}],
    extra_headers={"x-session-id": "conversation-17"},  # keeps the conversation with its version
)
print(reply.parse().choices[0].message.content, "from", reply.headers["x-homeostat-version"])

label = {"request_id": reply.headers["x-homeostat-request-id"], "label": "card arrival"}
client.post("/feedback", body=label, cast_to=object)
