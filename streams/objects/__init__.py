"""Objects: adapters, datasets, reports, profiles in a folder or a bucket (S3, GCS, Azure), written by condition, read
whole or not.

`opening.Storage` is the way in; `tree.Trees` holds folders of files under their digests, `store.ObjectStore` single
objects, `cache` keeps small what was fetched. `folder` and `bucket` are the two stores, `settings` says which of them,
`credentials` where a bucket's come from. Any room that imports `streams` may use it; only this wing knows what keeps a
folder's writers apart (a lock file, a rename) and a bucket's (conditions)."""
