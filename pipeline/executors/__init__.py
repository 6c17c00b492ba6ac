"""Who does the work: this process, several processes of this machine, or a Ray cluster.

The unit of work is the shard, by its number. The driver keeps the plan; workers take numbers from it and hand back a
record of each one they have finished. What a worker does is the caller's (`work.Work`): nothing here knows of encoders,
heads or files.
"""
