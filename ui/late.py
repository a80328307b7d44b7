"""Late: what a page still asks for after the person has left it.

A timer of the browser asks for a fragment with `run_every`. Streamlit 1.67 lets such a request wait while a page runs. If
`st.switch_page` led there and the browser has not heard so yet, the request belongs to the page before, and its turn comes
when the new one stands. Its fragment is gone by then, but the run that finds nothing to do is announced under the address of
the page before: the browser clears what the new page shows, and the next tick breaks the tab ("Bad delta path index").
"""

from functools import wraps

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData


def pass_over() -> None:
    """From now on no session of this process runs fragments for a page that it has left."""
    run = ScriptRunner._run_script
    if hasattr(run, "__wrapped__"):
        return

    @wraps(run)
    def run_unless_late(self: ScriptRunner, rerun_data: RerunData) -> None:
        left = rerun_data.page_script_hash != self._pages_manager.current_page_script_hash
        if not (rerun_data.fragment_id_queue and left):
            run(self, rerun_data)

    ScriptRunner._run_script = run_unless_late  # type: ignore[method-assign]
