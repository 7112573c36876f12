"""Items of the review queue in the forms of other tools, and answers from their exports.

`forms` is the way in and names the tools; each module has one tool's documented JSON: `written` gives what the tool
imports, `read` takes what it exports, in which it has kept our ids. A field that the tool does not document is an
error: who renamed a question or exported in another form learns it before anything is sent.
"""
