"""The gate: who may come in, what each may use, and a line about everything that was done. Needed wherever others can reach.

Knows people, passwords, sessions and limits; nothing of HTTP, and nothing of what the things are that people own.
"""

from core.gate.accounts import Accounts, Person
from core.gate.attempts import Attempts
from core.gate.audit import Audit
from core.gate.limits import Limits

__all__ = ["Accounts", "Attempts", "Audit", "Limits", "Person"]
