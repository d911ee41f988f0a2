"""The live side: what runs a flow. `ports` lists the doors, `cell` is the heart, `job_run` counts, `runtime` is the face."""
