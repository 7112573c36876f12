"""What is noted of each request to the gateway for operators: the access log and a trace.

`observer.RequestObserver` is the way in: the HTTP server calls it at a request's begin and end, where one of the two
is wanted, and calls nothing where none is. `access_log` writes lines in a thread of its own; `attributes` says of an
exchange what OpenTelemetry's conventions for generative models want to know. No text of a question or of an answer is
in either. `deploy.roles.gateway` makes the observer; `inference` and `forward` add what they know to a request's trace.
"""
