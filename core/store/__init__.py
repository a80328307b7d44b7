"""RunStore: every run, its events and what it is asked to do, as rows of the workspace's database. The engine's only voice.

What was read is never changed by a later write. A finished or discarded run never changes its state again. Rows of steps are
packed, so that a million of them load in a blink. Knows nothing of training, devices or pages.

`reading` answers, `writing` changes, `store` opens and knows whose process has died.
"""

from core.run import ACTIVE, BEFORE, RESUMABLE, STATES, Run, State, checked_id, new_id
from core.store.store import Rescued, RunStore

__all__ = ["ACTIVE", "BEFORE", "RESUMABLE", "STATES", "Rescued", "Run", "RunStore", "State", "checked_id", "new_id"]
