"""How a process says what it does, for programs: logs as lines, traces as spans by OTLP.

`logs.set_up_logs` is called once by each role and by a retraining's job; `tracer.tracer_of` gives a role its tracer,
none where the settings name no collector. A span is a plain record (`spans`); a thread makes OpenTelemetry's of it and
sends it (`export`), so that no reply waits for a collector. The gateway's spans are made in
`serving.gateway.observation`, those of a retraining and its rollout in `retrainings`.
"""
