"""Pure functions over rows and arrays: has the model become worse, and how sure are we?

Two functions are the way in: `judge.update` takes an alias's rows and returns findings, `policy.decide` takes findings
and returns decisions. `rows` is what comes in, `findings` what goes out, `settings` what the operator decides. From
below to above: `describe` and `detectors`, `reference`, `explain`, `signals`, `watch`, `judge`.

It opens no file and no socket, takes time as an argument, and imports no other room. Every other room but `dashboards`
may import it.
"""
