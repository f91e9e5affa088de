"""What the leader's desk is told of the listeners."""

from __future__ import annotations

import statistics
from typing import Any

from listening.sessions.active_listener import ActiveListener


def overview_row(listener: ActiveListener, paused: bool) -> dict[str, Any]:
    """Where one listener is; `ListeningTest.overview` lists the names."""
    state, all_pages = listener.progress, listener.session.pages
    trials = [number for number, page in enumerate(all_pages) if page.kind == "trial"]
    times = [state.pages[number].time_ms for number in trials if number in state.done]
    left = len(trials) - len(times)
    return {
        "listener": listener.row.id,
        "link": f"t/{listener.row.token}/",
        "page": state.page,
        "pages": len(all_pages),
        "kind": all_pages[state.page].kind,
        "trials_done": len(times),
        "trials": len(trials),
        "time_left_s": round(statistics.median(times) * left / 1000) if times else None,
        "underruns": sum(state.pages[n].all_underruns[0] for n in trials if n in state.pages),
        "last_seen": listener.seen_ms,
        "transducer": state.transducer,
        "device": state.device,
        "level_db": state.level_db,
        "paused": paused,
        "withdrawn": listener.row.withdrawn,
        "finished": all_pages[state.page].kind == "end",
    }
