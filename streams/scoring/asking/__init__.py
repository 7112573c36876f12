"""How a judge model is asked.

`client` sends questions to an OpenAI-compatible address, within a budget and with retries; `memory` keeps answers, so
that the same question is asked once; `prompt` fills in the rubric's file. `rubric` is its only caller: it makes scores
of the answers.
"""
