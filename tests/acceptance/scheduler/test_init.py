"""`backbeat init DIR; cd DIR; backbeat dev`: a new project runs as it is, without a server and without an option."""

from __future__ import annotations

import signal

from support.processes import Programs


def test_a_new_project_runs_tasks_and_finishes_workflows(programs, tmp_path, figure):
    code, said = programs.run("init", "shop")
    assert code == 0, said
    inside = Programs(tmp_path / "shop")
    try:
        dev = inside.start("dev")
        dev.wait_for(r"done +tasks\.heartbeat")
        dev.wait_for(r'workflow +report finished: "100 EUR, 100 USD"')
        dev.send_to_group(signal.SIGINT)
        code = dev.wait(30)
    finally:
        inside.close()

    (seen,) = dev.lines_like("workflow +report finished")[:1]
    assert code == 0, dev.text
    assert not dev.matches("Traceback|^\\S+ +(failed|lost|refused)")
    figure(f"the first workflow was finished {seen - dev.started_at:.1f} s after `backbeat dev`")


def test_a_new_project_has_finished_a_workflow_when_dev_ends_by_itself(programs, tmp_path):
    assert programs.run("init", "shop")[0] == 0
    inside = Programs(tmp_path / "shop")
    try:
        code, said = inside.run("dev", "--for", "10s")  # five do, unless others keep the machine busy
    finally:
        inside.close()

    assert code == 0, said
    assert "workflow report finished" in said
    assert (tmp_path / "shop" / "var" / "backbeat-dev.db").exists()
